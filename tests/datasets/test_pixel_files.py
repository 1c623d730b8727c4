"""Files that change while a pixel cache is being built of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpeft_core.datasets import pixel_decoding
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.datasets.pixels import build_pixel_cache, pixel_cache_key
from medpeft_core.datasets.progress import ignore_progress

SIZE = 24


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that are decoded, as it goes."""
    names: list[str] = []

    def load(path, *how):
        names.append(path.name)
        return load_for_model(path, *how)

    monkeypatch.setattr(pixel_decoding, "load_for_model", load)
    return names


@pytest.fixture
def paths(save_image) -> list[Path]:
    """Six grey images."""
    rng = np.random.default_rng(1)
    return [save_image(f"{number}.png", rng.integers(0, 256, (30, 30), np.uint8)) for number in range(6)]


def stop_at_the_end(what: str, done: int, total: int) -> None:
    if done == total:
        raise StoppedError


def test_a_file_that_changed_after_it_was_decoded_is_decoded_again(paths, tmp_path, decoded):
    folder = tmp_path / "pixels" / "key"
    with pytest.raises(StoppedError):
        build_pixel_cache(paths, cache_size=SIZE, folder=folder, progress=stop_at_the_end)
    assert len(decoded) == 6
    decoded.clear()
    Image.fromarray(np.full((30, 30), 9, np.uint8)).save(paths[3])
    cache = build_pixel_cache(paths, cache_size=SIZE, folder=folder, progress=ignore_progress)
    assert sorted(decoded) == ["3.png", "4.png", "5.png"]
    assert (cache.get(3) == 9).all()


def test_a_cache_bears_the_name_of_the_files_that_were_decoded(paths, tmp_path, decoded):
    """A file that changed between naming the cache and decoding it lay under the name of the old file."""
    names = [path.name for path in paths]
    before = pixel_cache_key(paths, names, cache_size=SIZE)
    Image.fromarray(np.zeros((30, 33), np.uint8)).save(paths[2])
    after = pixel_cache_key(paths, names, cache_size=SIZE)
    folder = tmp_path / "pixels" / before
    cache = build_pixel_cache(paths, cache_size=SIZE, folder=folder, progress=ignore_progress, names=names)
    assert cache.folder.name == after != before
    assert sorted(decoded) == names, "each image once"
    assert cache.widths.tolist() == [24, 24, 26, 24, 24, 24]
    assert [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"] == [after]


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(paths, tmp_path, monkeypatch):
    def load(path, *how):
        loaded = load_for_model(path, *how)
        if len(reads) < num_writes:
            Image.fromarray(np.full((30, 31 + len(reads)), 9, np.uint8)).save(path)
        reads.append(loaded)
        return loaded

    monkeypatch.setattr(pixel_decoding, "load_for_model", load)
    reads, num_writes = [], 1
    cache = build_pixel_cache(paths[:1], cache_size=SIZE, folder=tmp_path / "pixels" / "a", progress=ignore_progress)
    assert len(reads) == 2
    assert (cache.get(0) == 9).all()
    reads, num_writes = [], 99
    cache = build_pixel_cache(paths[:1], cache_size=SIZE, folder=tmp_path / "pixels" / "b", progress=ignore_progress)
    assert cache.errors == {0: "is being written to"}
