"""Building a pixel cache tells how far it is, often enough that a stop takes effect at once."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medpeft_core.datasets import pixel_decoding
from medpeft_core.datasets.pixels import build_pixel_cache, load_for_model


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "cache" / "pixels" / "key"


@pytest.fixture
def mixture(save_image) -> list[Path]:
    """Four images, the second of them in colour."""
    rng = np.random.default_rng(0)
    shapes = [(40, 60), (40, 60, 3), (40, 60), (40, 60)]
    return [save_image(f"{n}.png", rng.integers(0, 256, shape, np.uint8)) for n, shape in enumerate(shapes)]


def test_build_pixel_cache_can_be_stopped_while_it_waits_for_a_slow_image(mixture, folder, monkeypatch):
    """Nothing was told until the first image was there, so with large images a stop took seconds."""

    def load_slowly(path: Path, *how: Any) -> Any:
        is_released.wait(timeout=30)
        return load_for_model(path, *how)

    def listen(what: str, done: int, total: int) -> None:
        told.append(done)
        if len(told) == 3:
            raise StoppedError

    is_released, told = threading.Event(), []
    monkeypatch.setattr(pixel_decoding, "load_for_model", load_slowly)
    began = time.monotonic()
    with pytest.raises(StoppedError):
        build_pixel_cache(mixture, cache_size=24, folder=folder, progress=listen, num_threads=2)
    assert time.monotonic() - began < 5
    assert told == [0, 0, 0]
    assert [path.name for path in folder.parent.iterdir()] == ["key.lock"]
    is_released.set()


def test_build_pixel_cache_tells_of_each_step_on_a_mixture(mixture, folder):
    told = []
    build_pixel_cache(mixture, cache_size=24, folder=folder, progress=lambda *call: told.append(call))
    assert [call for call in told if call[1] == 0] == [
        ("decoding images", 0, 4),
        ("making grey and colour images alike", 0, 4),
    ]
    assert ("decoding images", 4, 4) in told


def test_build_pixel_cache_tells_ten_times_a_second_at_most(mixture, folder):
    told = []
    paths = mixture * 200
    began = time.monotonic()
    build_pixel_cache(paths, cache_size=24, folder=folder, progress=lambda *call: told.append(call))
    seconds = time.monotonic() - began
    assert told[0] == ("decoding images", 0, 800)
    assert len(told) <= 5 + seconds / 0.1
