"""Processes that decode JPEG 2000: the same images, no process left behind, and a crash is one image's."""

import shutil

import numpy as np
import psutil
import pytest

from medpeft_core.datasets import decoding_pool, decoding_process
from medpeft_core.datasets.decoding_process import CRASH_REASON, DecodingProcess, needs_process
from medpeft_core.datasets.images import AS_STORED, Reading
from medpeft_core.datasets.pixel_decoding import load_image
from medpeft_core.datasets.pixels import build_pixel_cache
from medpeft_core.datasets.progress import ignore_progress

JPEG_2000 = ("RG1_J2KI.dcm", "US1_J2KR.dcm")
OTHERS = ("JPEG-LL.dcm", "MR_small_RLE.dcm", "CT_small.dcm")
CRASHING = (
    "import os\n"
    "from medpeft_core.datasets import decoding_process, pixel_decoding\n"
    "real = pixel_decoding.load_image\n"
    "decoding_process.load_image = lambda path, *how: os._exit(1) if 'bad' in path.name else real(path, *how)\n"
    "decoding_process.main()"
)


@pytest.fixture
def process():
    process = DecodingProcess()
    yield process
    process.close()


def test_a_process_gives_what_load_image_gives(samples, process, tmp_path):
    cut_off = tmp_path / "cut off.dcm"
    cut_off.write_bytes((samples / "JPEG-LL.dcm").read_bytes()[:20000])
    gone = tmp_path / "gone.dcm"
    for path in (*(samples / name for name in (*JPEG_2000, *OTHERS)), cut_off, gone):
        for reading in (AS_STORED, Reading(window="full", frame="last")):
            got, wanted = (load(path, 64, reading) for load in (process.load, load_image))
            for name in ("source_size", "warning", "error", "digest", "state"):
                assert getattr(got, name) == getattr(wanted, name), (path.name, name)
            assert (got.pixels is None) == (wanted.pixels is None)
            if got.pixels is not None:
                np.testing.assert_array_equal(got.pixels, wanted.pixels)


def test_only_jpeg_2000_needs_a_process(samples, save_image):
    assert all(needs_process(samples / name) for name in JPEG_2000)
    others = [*(samples / name for name in (*OTHERS, "gone.dcm")), save_image("a.png", np.zeros((20, 20), np.uint8))]
    assert not any(needs_process(path) for path in others)


def test_a_file_that_crashes_its_decoder_is_unreadable_and_the_next_is_read(samples, process, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding_process, "_CHILD", CRASHING)
    monkeypatch.setattr(decoding_process, "MAX_STARTS", 1)
    bad = tmp_path / "bad.dcm"
    shutil.copy(samples / "MR_small_RLE.dcm", bad)
    assert process.load(bad, 64, AS_STORED).error == CRASH_REASON
    assert process.load(samples / "MR_small_RLE.dcm", 64, AS_STORED).error == ""


def test_a_process_ends_when_whoever_asks_is_gone():
    child = decoding_process._start()
    child.stdin.close()
    assert child.wait(timeout=60) == 0
    child.stdout.close()


def test_a_cache_of_jpeg_2000_is_that_of_plain_decoding_and_leaves_no_process(samples, home, monkeypatch):
    monkeypatch.setattr(decoding_pool, "MIN_FOR_PROCESSES", 2)
    starts = []
    monkeypatch.setattr(decoding_process, "_start", lambda start=decoding_process._start: starts.append(1) or start())
    paths = [samples / name for name in (*OTHERS, *JPEG_2000)]
    before = set(psutil.Process().children())
    folder = home / "cache" / "pixels" / "key"
    cache = build_pixel_cache(paths, cache_size=64, folder=folder, progress=ignore_progress, num_threads=2)
    assert 1 <= len(starts) <= 2
    assert set(psutil.Process().children()) <= before
    for row, path in enumerate(paths):
        wanted = load_image(path, 64, AS_STORED).pixels
        np.testing.assert_array_equal(cache.get(row), np.broadcast_to(wanted, (3, *wanted.shape[1:])))
