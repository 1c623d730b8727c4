"""Building a pixel cache: decode all images in threads, write them in order, show the cache only when it is whole."""

import contextlib
import functools
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import pandas as pd

from medpeft_core.datasets.images import AS_STORED, Reading, UnreadableImageError
from medpeft_core.datasets.pixel_cache import (
    FORMAT_VERSION,
    HEADER_FILE,
    PIXELS_FILE,
    TABLE_FILE,
    PixelCache,
    digest_pixels,
    load_for_model,
    pixel_cache_key,
)
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir, write_json

__all__ = ["PixelCache", "build_pixel_cache", "find_pixel_cache", "load_for_model", "pixel_cache_key"]

MAX_THREADS = 32
_IN_FLIGHT_PER_THREAD = 4  # decoded images that wait to be written; bounds memory
_REPORT_EVERY_S = 0.1
_PATIENCE_S = 0.4  # with one slow image, before progress is told again


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """What a decoding thread hands over; `pixels` is None for an unreadable image."""

    pixels: np.ndarray | None = None
    source_size: tuple[int, int] = (0, 0)
    warning: str = ""
    error: str = ""
    digest: str = ""


def build_pixel_cache(
    paths: list[Path],
    *,
    cache_size: int,
    folder: Path,
    progress: Progress,
    num_threads: int | None = None,
    reading: Reading = AS_STORED,
) -> PixelCache:
    """Decode every image into a new cache in `folder`, or open the one that is there.

    Unreadable images do not stop it; they are listed in the cache's `errors`. Two builders of one folder wait for each
    other. If `progress` raises, or the disk is full, no trace of a cache is left. A cache that is damaged, or some of
    whose unreadable images can be read by now, is built anew.

    Args:
        paths: the image of each row.
        cache_size: short side in pixels.
        folder: named by `pixel_cache_key`; its parents are made.
        progress: told at most ten times a second.
        num_threads: None: one per CPU core.
        reading: of DICOM files; it must be part of the folder's name.

    Raises:
        DataError: the cache cannot be written; says how many bytes it needs, and where.
    """
    progress = _throttled(progress)
    with _disk_errors(folder, paths, cache_size, written=0, done=0):
        ensure_dir(folder.parent)
    with _locked(folder, len(paths), progress, needed=cache_size**2 * len(paths)):
        cache = find_pixel_cache(paths, cache_size=cache_size, folder=folder, reading=reading)
        if cache is not None:
            return cache
        temporary = folder.parent / f".{folder.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # of a builder that was killed: under the lock nobody works there
        began = time.monotonic()
        try:
            load = functools.partial(_load, cache_size=cache_size, reading=reading)
            rows = _write_images(paths, cache_size, temporary, progress, num_threads or _count_cores(), load=load)
            num_bytes = sum(row["channels"] * row["height"] * row["width"] for row in rows)
            with _disk_errors(folder, paths, cache_size, written=num_bytes, done=len(paths)):
                _finish(temporary, rows, cache_size, progress, decode_s=time.monotonic() - began)
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return PixelCache.open(folder)


def find_pixel_cache(
    paths: list[Path], *, cache_size: int, folder: Path, reading: Reading = AS_STORED
) -> PixelCache | None:
    """The cache that is there, or None where `build_pixel_cache` would build one.

    It opens no image but those that could not be read before.
    """
    if not folder.exists():
        return None
    try:
        cache = PixelCache.open(folder)
    except DataError:
        return None
    has_recovered = any(not _load(paths[row], cache_size, reading).error for row in cache.errors)
    return None if has_recovered or cache.num_images != len(paths) else cache


@contextlib.contextmanager
def _locked(folder: Path, total: int, progress: Progress, *, needed: int) -> Iterator[None]:
    lock = filelock.FileLock(folder.parent / f"{folder.name}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except filelock.Timeout:
            progress("waiting for another process that decodes these images", 0, total)
        except OSError as error:
            raise _cannot_write(error, folder, total, needed) from error
    try:
        yield
    finally:
        lock.release()


def _write_images(
    paths: list[Path],
    cache_size: int,
    temporary: Path,
    progress: Progress,
    num_threads: int,
    *,
    load: Callable[[Path], _Loaded],
) -> list[dict]:
    """Append each image with its own number of channels to one file; one row of the table for each."""
    rows: list[dict] = []
    written = 0
    progress("decoding images", 0, len(paths))
    with contextlib.ExitStack() as stack:
        with _disk_errors(temporary, paths, cache_size, written=0, done=0):
            temporary.mkdir()
            file = stack.enter_context((temporary / PIXELS_FILE).open("wb", buffering=0))
        images = stack.enter_context(contextlib.closing(_load_all(paths, load, num_threads)))
        for loaded in images:
            if loaded is not None:
                with _disk_errors(temporary, paths, cache_size, written=written, done=len(rows)):
                    written += _write_all(file.fileno(), loaded.pixels)
                rows.append(_describe(loaded))
            progress("decoding images", len(rows), len(paths))
        with _disk_errors(temporary, paths, cache_size, written=written, done=len(rows)):
            os.fsync(file.fileno())
    return rows


def _load_all(
    paths: list[Path], load: Callable[[Path], _Loaded], num_threads: int
) -> Generator[_Loaded | None, None, None]:
    """The images in their order, decoded ahead in threads, and None while a slow one is waited for.

    Closing the iterator lets the threads end after the image that they are at.
    """
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
    waiting: deque[Future[_Loaded]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(load, path))
            if len(waiting) >= num_threads * _IN_FLIGHT_PER_THREAD:
                yield from _patiently(waiting.popleft())
        while waiting:
            yield from _patiently(waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _patiently(image: Future[_Loaded]) -> Iterator[_Loaded | None]:
    """None again and again until the image is there, then the image."""
    while not image.done():
        if not wait([image], timeout=_PATIENCE_S).done:
            yield None
    yield image.result()


def _load(path: Path, cache_size: int, reading: Reading) -> _Loaded:
    try:
        pixels, source_size, warnings = load_for_model(path, cache_size, reading)
    except UnreadableImageError as error:
        return _Loaded(error=error.reason)
    return _Loaded(pixels=pixels, source_size=source_size, warning=" ".join(warnings), digest=digest_pixels(pixels))


def _describe(loaded: _Loaded) -> dict:
    channels, height, width = (0, 0, 0) if loaded.pixels is None else loaded.pixels.shape
    return {
        "channels": channels, "height": height, "width": width, "source_height": loaded.source_size[0],
        "source_width": loaded.source_size[1], "warning": loaded.warning, "error": loaded.error,
        "digest": loaded.digest,
    }  # fmt: skip


def _finish(temporary: Path, rows: list[dict], cache_size: int, progress: Progress, *, decode_s: float) -> None:
    """Give all images one number of channels, and write table and header.

    Args:
        decode_s: seconds that decoding took, for people who want to know what a cache costs to make again.
    """
    table = pd.DataFrame(rows)
    is_readable = table["channels"] > 0
    channels = 3 if (table["channels"] == 3).any() else 1
    if is_readable.any() and (table["channels"] != channels).any():
        shape = tuple(table.loc[is_readable, ["height", "width"]].iloc[0])
        _rewrite(temporary, table, channels, (int(shape[0]), int(shape[1])), progress)
        table.loc[~is_readable, ["height", "width"]] = shape
    sizes = channels * table["height"] * table["width"]
    table["offset"] = sizes.cumsum() - sizes
    table.drop(columns="channels").to_parquet(temporary / TABLE_FILE)
    header = {
        "format_version": FORMAT_VERSION,
        "cache_size": cache_size,
        "channels": channels,
        "num_images": len(table),
    }
    write_json(temporary / HEADER_FILE, {**header, "num_bytes": int(sizes.sum()), "decode_s": round(decode_s, 3)})


def _rewrite(temporary: Path, table: pd.DataFrame, channels: int, blank: tuple[int, int], progress: Progress) -> None:
    """Repeat grey images into `channels`, and put a black image of size `blank` in the place of each unreadable one."""
    copy = temporary / "rewritten.u8"
    shapes = table[["channels", "height", "width"]].to_numpy(np.int64)
    with (temporary / PIXELS_FILE).open("rb") as source, copy.open("wb") as target:
        for done, (own_channels, height, width) in enumerate(shapes.tolist()):
            progress("making grey and colour images alike", done, len(shapes))
            block = np.zeros((1, *blank), np.uint8)
            if own_channels:
                block = np.frombuffer(source.read(own_channels * height * width), np.uint8).reshape(-1, height, width)
            target.write(np.broadcast_to(block, (channels, *block.shape[1:])).tobytes())
        target.flush()
        os.fsync(target.fileno())
    copy.replace(temporary / PIXELS_FILE)


def _write_all(descriptor: int, pixels: np.ndarray | None) -> int:
    """Write every byte (a nearly full disk takes a part without complaint) and count them."""
    if pixels is None:
        return 0
    rest = memoryview(pixels.tobytes())
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return pixels.nbytes


@contextlib.contextmanager
def _disk_errors(folder: Path, paths: list[Path], cache_size: int, *, written: int, done: int) -> Iterator[None]:
    """Turn a failed write into a message with the space that all images need, estimated from those written."""
    try:
        yield
    except OSError as error:
        needed = round(written / done * len(paths)) if done else cache_size**2 * len(paths)
        raise _cannot_write(error, folder, len(paths), needed) from error


def _cannot_write(error: OSError, folder: Path, num_images: int, needed: int) -> DataError:
    return DataError(
        f"The pixel cache of {num_images} images cannot be written to {folder.parent}: {error.strerror or error}. It "
        f"needs about {needed / 1e6:.0f} MB ({needed} bytes) there. Make space, or set MEDPEFT_HOME to a folder on a "
        "larger disk."
    )


def _throttled(progress: Progress) -> Progress:
    """Passes on ten calls a second, and each that begins something new or ends it."""
    told_what, told_at = "", float("-inf")

    def tell(what: str, done: int, total: int) -> None:
        nonlocal told_what, told_at
        now = time.monotonic()
        if what != told_what or done == total or now - told_at >= _REPORT_EVERY_S:
            told_what, told_at = what, now
            progress(what, done, total)

    return tell


def _count_cores() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)
