"""The pixel cache: what it holds, when it is built anew, and that no broken one is ever left."""

import errno
import os
import threading
import time
from pathlib import Path

import filelock
import numpy as np
import pytest

from medpeft_core.datasets import pixel_decoding
from medpeft_core.datasets import pixels as pixels_module
from medpeft_core.datasets.pixels import PixelCache, build_pixel_cache, load_for_model, pixel_cache_key
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.errors import DataError


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "cache" / "pixels" / "key"


@pytest.fixture
def films(save_image) -> list[Path]:
    """Twelve grey images of one size."""
    rng = np.random.default_rng(0)
    return [save_image(f"{n:02d}.png", rng.integers(0, 256, (40, 60), np.uint8)) for n in range(12)]


@pytest.fixture
def mixture(save_image, tmp_path) -> list[Path]:
    """Grey and colour images of several sizes, the first and another unreadable."""
    rng = np.random.default_rng(0)
    shapes = [(30, 50), (64, 32, 3), (20, 20), (33, 48), (90, 40, 3)]
    paths = [save_image(f"{n}.png", rng.integers(0, 256, shape, np.uint8)) for n, shape in enumerate(shapes)]
    (tmp_path / "text.png").write_text("no image")
    return [tmp_path / "text.png", *paths[:3], tmp_path / "gone.png", *paths[3:]]


def build(paths: list[Path], folder: Path, **options) -> PixelCache:
    return build_pixel_cache(paths, **{"cache_size": 24, "folder": folder, "progress": ignore_progress, **options})


def files_beside(folder: Path) -> list[str]:
    """What lies in the cache's folder, apart from the lock file."""
    return sorted(path.name for path in folder.parent.iterdir() if path.suffix != ".lock")


def test_pixel_cache_holds_what_load_for_model_gives(films, folder):
    cache = build(films, folder)
    assert (cache.num_images, cache.channels, cache.is_uniform) == (12, 1, True)
    for row, path in enumerate(films):
        pixels, source_size, _ = load_for_model(path, 24)
        np.testing.assert_array_equal(cache.get(row), pixels)
        np.testing.assert_array_equal(cache.array()[row], pixels)
        assert tuple(cache.source_sizes[row]) == source_size == (40, 60)
    assert cache.array().shape == (12, 1, 24, 36)
    assert cache.nbytes == cache.array().nbytes == (folder / "pixels.u8").stat().st_size


def test_pixel_cache_array_is_a_view_of_the_file(films, folder):
    cache = build(films, folder)
    assert np.shares_memory(cache.array(), cache.get(3))
    assert not cache.array().flags.writeable


def test_pixel_cache_does_not_depend_on_the_number_of_threads(films, folder):
    one = build(films, folder, num_threads=1)
    many = build(films, folder.with_name("other"), num_threads=7)
    np.testing.assert_array_equal(one.array(), many.array())
    assert one.digests.tolist() == many.digests.tolist()


def test_pixel_cache_of_a_mixture_has_three_channels_and_true_sizes(mixture, folder):
    cache = build(mixture, folder)
    assert (cache.channels, cache.is_uniform) == (3, False)
    assert cache.errors == {0: "is not a PNG, JPEG, BMP, TIFF or DICOM image", 4: "does not exist"}
    for row in set(range(len(mixture))) - set(cache.errors):
        pixels, _, _ = load_for_model(mixture[row], 24)
        np.testing.assert_array_equal(cache.get(row), np.broadcast_to(pixels, (3, *pixels.shape[1:])))
        assert (cache.heights[row], cache.widths[row]) == pixels.shape[1:]
    with pytest.raises(DataError, match="Image 4 of the pixel cache does not exist"):
        cache.get(4)
    with pytest.raises(DataError, match="does not exist"):
        cache.gather(np.array([1, 4]))
    with pytest.raises(ValueError, match="several shapes"):
        cache.array()


def test_pixel_cache_stays_one_array_around_unreadable_images(films, folder, tmp_path):
    """A damaged file among 100,000 must not cost the fast path; its place is black."""
    cache = build([tmp_path / "gone.png", *films[:3], tmp_path / "gone.png", *films[3:]], folder)
    assert cache.is_uniform
    assert cache.errors.keys() == {0, 4}
    assert not cache.array()[[0, 4]].any()
    np.testing.assert_array_equal(cache.array()[5], load_for_model(films[3], 24)[0])
    assert cache.digests[0] == ""


def test_pixel_cache_of_nothing_readable_can_be_opened(folder, tmp_path):
    cache = build([tmp_path / "a.png", tmp_path / "b.png"], folder)
    assert (cache.num_images, len(cache.errors), cache.nbytes, cache.is_uniform) == (2, 2, 0, False)


def test_gather_of_equal_sizes_is_one_copy(films, folder):
    cache = build(films, folder)
    batch, sizes = cache.gather(np.array([5, 0, 5]))
    np.testing.assert_array_equal(batch, np.stack([cache.get(5), cache.get(0), cache.get(5)]))
    assert sizes.tolist() == [[24, 36]] * 3
    assert sizes.dtype == np.int64
    batch[:] = 0  # a copy: training may change it
    assert cache.get(5).any()


def test_gather_pads_with_zeros_to_the_right_and_below(mixture, folder):
    cache = build(mixture, folder)
    rows = np.array([3, 1, 2])
    batch, sizes = cache.gather(rows)
    assert batch.shape == (3, 3, *sizes.max(axis=0))
    for place, row in enumerate(rows):
        height, width = sizes[place]
        np.testing.assert_array_equal(batch[place, :, :height, :width], cache.get(row))
        assert not batch[place, :, height:].any()
        assert not batch[place, :, :, width:].any()


def test_pixel_cache_remembers_what_was_changed(save_image, folder):
    deep = np.linspace(0, 4095, 900).astype(np.uint16).reshape(30, 30)
    cache = build([save_image("a.png", np.zeros((30, 30), np.uint8)), save_image("b.png", deep)], folder)
    assert cache.warnings.keys() == {1}
    assert "12-bit" in cache.warnings[1]


def test_digests_are_equal_for_equal_pixels_only(save_image, folder):
    noise = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    other = noise.copy()
    other[0, 0] ^= 1
    paths = [save_image(name, noise) for name in ("a.png", "a.bmp")] + [save_image("b.png", other)]
    digests = build(paths, folder).digests
    assert digests[0] == digests[1] != digests[2]


def test_build_pixel_cache_opens_a_finished_one_without_decoding(films, folder, monkeypatch):
    build(films, folder)
    monkeypatch.setattr(pixel_decoding, "load_for_model", lambda *_: pytest.fail("decoded again"))
    assert build(films, folder).num_images == 12


def test_build_pixel_cache_mends_a_damaged_one(films, folder):
    build(films, folder)
    with (folder / "pixels.u8").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="damaged or from another version"):
        PixelCache.open(folder)
    assert build(films, folder).array().shape == (12, 1, 24, 36)
    (folder / "index.json").write_text("{")
    with pytest.raises(DataError, match="no usable pixel cache"):
        PixelCache.open(folder)
    assert build(films, folder).num_images == 12


def test_build_pixel_cache_tries_unreadable_images_again(films, folder, tmp_path):
    """Rights that were mended, or a network drive that came back, change neither size nor date of a file."""
    late = tmp_path / "late.png"
    assert build([*films, late], folder).errors
    late.write_bytes(films[0].read_bytes())
    cache = build([*films, late], folder)
    assert not cache.errors
    np.testing.assert_array_equal(cache.get(12), cache.get(0))


def test_pixel_cache_key_follows_files_names_order_and_size(films):
    names = [path.name for path in films]
    key = pixel_cache_key(films, names, cache_size=24)
    assert pixel_cache_key(films, names, cache_size=24) == key
    assert pixel_cache_key(films, names, cache_size=25) != key
    assert pixel_cache_key(films[::-1], names[::-1], cache_size=24) != key
    assert pixel_cache_key(films[:-1], names[:-1], cache_size=24) != key
    status = films[3].stat()
    os.utime(films[3], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    touched = pixel_cache_key(films, names, cache_size=24)
    assert touched != key
    films[3].unlink()
    assert pixel_cache_key(films, names, cache_size=24) not in (key, touched)


@pytest.mark.parametrize(("when", "left"), [(0, []), (1, [".key.tmp"])])
def test_build_pixel_cache_that_is_stopped_shows_no_cache_and_keeps_what_is_decoded(
    films, folder, when, left, monkeypatch
):
    monkeypatch.setattr(pixels_module, "_REPORT_EVERY_S", 0)

    def stop(what: str, done: int, total: int) -> None:
        if done >= when:
            raise StoppedError

    before = set(threading.enumerate())  # threads of an earlier test may be at their last breath
    with pytest.raises(StoppedError):
        build(films, folder, progress=stop)
    assert files_beside(folder) == left
    deadline = time.monotonic() + 10
    while not set(threading.enumerate()) <= before:  # each ends after the image that it is at
        assert time.monotonic() < deadline, "threads go on decoding"
        time.sleep(0.01)
    assert build(films, folder).num_images == 12
    assert files_beside(folder) == ["key"]


def test_build_pixel_cache_clears_what_is_no_unfinished_cache(films, folder):
    left = folder.parent / f".{folder.name}.tmp"
    left.mkdir(parents=True)
    (left / "pixels.u8").write_bytes(b"half")
    assert build(films, folder).num_images == 12
    assert files_beside(folder) == [folder.name]


def test_build_pixel_cache_says_what_a_full_disk_lacks(films, folder, monkeypatch):
    written = []

    def write(descriptor: int, content: memoryview) -> int:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(len(content))
        return len(content)

    monkeypatch.setattr(pixels_module.os, "write", write)
    with pytest.raises(DataError) as caught:
        build(films, folder)
    assert "12 images cannot be written" in str(caught.value)
    assert f"({12 * 24 * 36} bytes)" in str(caught.value)
    assert str(folder.parent) in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert files_beside(folder) == []


def test_build_pixel_cache_survives_partial_writes(films, folder, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(pixels_module.os, "write", lambda descriptor, content: real_write(descriptor, content[:100]))
    np.testing.assert_array_equal(build(films, folder).get(11), load_for_model(films[11], 24)[0])


def test_build_pixel_cache_waits_for_another_builder_and_can_be_stopped(films, folder):
    told = []

    def listen(what: str, done: int, total: int) -> None:
        told.append(what)
        raise StoppedError

    folder.parent.mkdir(parents=True)
    with filelock.FileLock(folder.parent / f"{folder.name}.lock"), pytest.raises(StoppedError):
        build(films, folder, progress=listen)
    assert told == ["waiting for another process that decodes these images"]


def test_build_pixel_cache_by_two_threads_at_once_gives_one_cache(films, folder):
    caches: list[PixelCache] = []
    threads = [threading.Thread(target=lambda: caches.append(build(films, folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caches) == 3
    assert files_beside(folder) == [folder.name]


def test_build_pixel_cache_tells_how_far_it_is(films, folder):
    told = []
    build(films, folder, progress=lambda what, done, total: told.append((what, done, total)))
    assert told[0] == ("decoding images", 0, 12)
    assert told[-1] == ("decoding images", 12, 12)


def test_load_for_model_equals_the_cache_on_real_films(nih_sample, folder):
    paths = sorted((nih_sample / "original_size").iterdir())
    cache = build(paths, folder, cache_size=256)
    assert cache.array().shape == (8, 1, 256, 256)
    assert cache.source_sizes.tolist() == [[1024, 1024]] * 8
    np.testing.assert_array_equal(cache.get(7), load_for_model(paths[7], 256)[0])
