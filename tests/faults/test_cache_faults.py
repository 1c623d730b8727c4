"""The pixel cache when its builder is killed, stopped, or finds odd things: it goes on, and nobody sees half of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpeft_core.datasets import pixel_decoding, pixel_journal, pixel_table
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.datasets.pixels import PixelCache, build_pixel_cache, find_pixel_cache
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.errors import DataError

pytestmark = pytest.mark.faults
NUM_IMAGES = 12
SIZE = 24
# A builder that syncs after each image, notes each decoding, and stands still for ever at a point of its work.
BUILDER = """
import sys, threading, time
from pathlib import Path
from medpeft_core.datasets import pixel_decoding, pixel_journal, pixels
from medpeft_core.datasets.pixel_cache import load_for_model

images, folder, stand_at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def stand(*_):
    print("stands", flush=True)
    threading.Event().wait()

def load(path, *how):
    if path.stem == stand_at:
        while len((folder.parent / ".key.tmp" / "journal.jsonl").read_bytes().splitlines()) <= int(stand_at):
            time.sleep(0.01)
        stand()
    return load_for_model(path, *how)

pixel_journal.SYNC_EVERY_S = 0.0
pixel_decoding.load_for_model = load
if stand_at == "renaming":
    Path.rename = stand
if stand_at == "header":
    from medpeft_core.datasets import pixel_table
    pixel_table.write_json = stand
paths = sorted(images.iterdir())
pixels.build_pixel_cache(paths, cache_size=24, folder=folder, progress=lambda *_: None, num_threads=2)
"""


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Twelve files: grey and colour images of several sizes, one of them damaged."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        shape = (30 + number, 40, 3) if number % 5 == 4 else (30 + number, 40)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "07.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory) -> Path:
    """A cache that was built without disturbance."""
    return build(images, tmp_path_factory.mktemp("whole") / "key").folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "pixels" / "key"


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that this process decodes, as it goes."""
    names: list[str] = []

    def load(path, *how):
        names.append(path.name)
        return load_for_model(path, *how)

    monkeypatch.setattr(pixel_decoding, "load_for_model", load)
    return names


def build(images: Path, folder: Path, progress=ignore_progress, **options) -> PixelCache:
    return build_pixel_cache(sorted(images.iterdir()), cache_size=SIZE, folder=folder, progress=progress, **options)


def find(images: Path, folder: Path) -> PixelCache | None:
    return find_pixel_cache(sorted(images.iterdir()), cache_size=SIZE, folder=folder)


def build_until(images: Path, folder: Path, number: int, monkeypatch) -> Path:
    """Stop a builder when so many images are decoded; the folder of the unfinished cache."""

    def stop(what: str, done: int, total: int) -> None:
        if done >= number:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr("medpeft_core.datasets.pixels._REPORT_EVERY_S", 0)
        with pytest.raises(StoppedError):
            build(images, folder, stop)
    return folder.parent / ".key.tmp"


def assert_like(folder: Path, whole: Path) -> None:
    """The same bytes of pixels and table, and nothing else in or beside it."""
    assert sorted(path.name for path in folder.parent.iterdir() if path.suffix != ".lock") == ["key"]
    assert {path.name for path in folder.iterdir()} == {"pixels.u8", "images.parquet", "index.json"}
    for name in ("pixels.u8", "images.parquet"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("stand_at", "rest"),
    [
        ("00", list(range(NUM_IMAGES))),
        ("05", list(range(5, NUM_IMAGES))),
        ("11", [7, 11]),  # what cannot be read is tried again, always
        ("header", [7]),
        ("renaming", [7]),
    ],
)
def test_a_killed_builder_is_followed_by_one_that_decodes_only_the_rest(images, whole, folder, decoded, stand_at, rest):
    """After a kill the work of an hour was thrown away, and the next builder began anew."""
    command = [sys.executable, "-c", BUILDER, str(images), str(folder), stand_at]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as builder:
        assert builder.stdout.readline() == b"stands\n"
        builder.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    assert find(images, folder) is None
    with pytest.raises(DataError):
        PixelCache.open(folder)
    told = []
    build(images, folder, lambda *call: told.append(call))
    assert sorted(set(decoded)) == [f"{number:02d}.png" for number in rest]
    assert_like(folder, whole)
    if stand_at == "05":
        first = next(call for call in told if call[0] == "decoding images")
        assert first == ("decoding images", 5, NUM_IMAGES), "the bar and the ETA begin at what is there"


def test_a_stopped_builder_keeps_what_it_decoded(images, whole, folder, decoded, monkeypatch):
    unfinished = build_until(images, folder, 6, monkeypatch)
    assert find(images, folder) is None
    assert len((unfinished / "journal.jsonl").read_bytes().splitlines()) == 1 + 6
    decoded.clear()
    build(images, folder)
    assert sorted(decoded) == [f"{number:02d}.png" for number in range(6, NUM_IMAGES)]
    assert_like(folder, whole)


def tear_last_line(unfinished: Path) -> None:
    with (unfinished / "journal.jsonl").open("r+b") as file:
        file.truncate((unfinished / "journal.jsonl").stat().st_size - 3)


def lose_pixels(unfinished: Path) -> None:
    with (unfinished / "growing.u8").open("r+b") as file:
        file.truncate((unfinished / "growing.u8").stat().st_size - 1)


def add_pixels(unfinished: Path) -> None:
    with (unfinished / "growing.u8").open("ab") as file:
        file.write(bytes(5000))


def spoil_a_pixel(unfinished: Path) -> None:
    with (unfinished / "growing.u8").open("r+b") as file:
        file.seek(2 * SIZE * 32 + 7)  # of the third image
        value = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([value ^ 1]))


def change_format(unfinished: Path) -> None:
    path = unfinished / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"journal_version": 1', b'"journal_version": 0'))


def write_noise(unfinished: Path) -> None:
    path = unfinished / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b'{"row": 3}\n[1]\n\xff\x00\n', *lines[4:]]))


def lose_the_journal(unfinished: Path) -> None:
    (unfinished / "journal.jsonl").unlink()


def lose_all_pixels(unfinished: Path) -> None:
    (unfinished / "growing.u8").unlink()


@pytest.mark.parametrize(
    ("spoil", "num_kept"),
    [
        (tear_last_line, 5),
        (lose_pixels, 5),
        (add_pixels, 6),
        (spoil_a_pixel, 2),
        (change_format, 0),
        (write_noise, 3),
        (lose_the_journal, 0),
        (lose_all_pixels, 0),
    ],
)
def test_a_builder_goes_on_from_what_is_sound(images, whole, folder, decoded, monkeypatch, spoil, num_kept):
    spoil(build_until(images, folder, 6, monkeypatch))
    decoded.clear()
    build(images, folder)
    assert len(decoded) == NUM_IMAGES - num_kept
    assert_like(folder, whole)


def test_a_builder_killed_between_pixels_and_header_is_gone_on_with(tmp_path, decoded, monkeypatch):
    """Grey images of any size need no second file, so their pixels have the finished name already."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(np.full((30, 30), 7, np.uint8)).save(path)
    folder = tmp_path / "pixels" / "key"

    def break_off(*_):
        raise StoppedError

    monkeypatch.setattr(pixel_table, "write_json", break_off)
    with pytest.raises(StoppedError):
        build_pixel_cache(paths, cache_size=SIZE, folder=folder, progress=ignore_progress)
    assert (folder.parent / ".key.tmp" / "pixels.u8").exists()
    monkeypatch.undo()
    monkeypatch.setattr(pixel_decoding, "load_for_model", lambda *_: pytest.fail("decoded again"))
    assert build_pixel_cache(paths, cache_size=SIZE, folder=folder, progress=ignore_progress).array().min() == 7


def test_images_are_decoded_in_parallel(images, folder, monkeypatch):
    """Three decodings wait for each other: one after the other they would wait for ever."""
    together = threading.Barrier(3)

    def load(path, *how):
        together.wait(timeout=60)
        return load_for_model(path, *how)

    monkeypatch.setattr(pixel_decoding, "load_for_model", load)
    assert build(images, folder, num_threads=3).num_images == NUM_IMAGES
    assert not together.broken


def test_unfinished_caches_of_last_week_are_removed_and_others_stay(images, folder, tmp_path):
    old, new = (folder.parent / f".{name * 32}.tmp" for name in "ab")
    for unfinished in (old, new):
        unfinished.mkdir(parents=True)
        (unfinished / "growing.u8").write_bytes(bytes(10))
    long_ago = time.time() - pixel_journal.STALE_S - 60
    for path in (old / "growing.u8", old):
        os.utime(path, (long_ago, long_ago))
    build(images, folder)
    assert (old.exists(), new.exists()) == (False, True)
