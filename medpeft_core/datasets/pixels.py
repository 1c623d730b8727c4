"""Building a pixel cache: decode in parallel, go on from what a stopped builder left, show it only when it is whole."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from medpeft_core.datasets.decoding_pool import load_all
from medpeft_core.datasets.images import AS_STORED, Reading
from medpeft_core.datasets.pixel_cache import (
    PixelCache,
    key_of_states,
    load_for_model,
    pixel_cache_key,
)
from medpeft_core.datasets.pixel_decoding import load_image
from medpeft_core.datasets.pixel_journal import (
    PixelJournal,
    Row,
    has_pixels,
    is_same_file,
    remove_stale,
    row_state,
    unfinished_folder,
)
from medpeft_core.datasets.pixel_table import drop_journal, finish_pixels
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir

__all__ = ["PixelCache", "build_pixel_cache", "find_pixel_cache", "load_for_model", "pixel_cache_key"]

MAX_THREADS = 32
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_REPORT_EVERY_S = 0.1


def build_pixel_cache(
    paths: list[Path],
    *,
    cache_size: int,
    folder: Path,
    progress: Progress,
    num_threads: int | None = None,
    reading: Reading = AS_STORED,
    names: list[str] | None = None,
) -> PixelCache:
    """Decode every image into a new cache in `folder`, or open the one that is there.

    Unreadable images do not stop it; they are listed in the cache's `errors`. Two builders of one folder wait for each
    other. A cache that is damaged, or some of whose unreadable images can be read by now, is built anew.

    What a builder decoded before it was killed, or before `progress` raised to stop it, stays hidden beside the folder,
    and the next builder goes on from there, unless a week has passed or the lab's clean-up took it. A full disk is
    freed of it. Of what was kept, an image counts only while its file has the size and time of change at which it was
    decoded.

    Args:
        paths: the image of each row.
        cache_size: short side in pixels.
        folder: named by `pixel_cache_key`; its parents are made.
        progress: told at most ten times a second.
        num_threads: None: one per CPU core.
        reading: of DICOM files; it must be part of the folder's name.
        names: as `pixel_cache_key` was given them. Where files have changed since the folder was named, the cache is
            then put beside it, under the name of the files that were decoded.

    Raises:
        DataError: the cache cannot be written; says how many bytes it needs, and where.
    """
    progress = _throttled(progress)
    with _disk_errors(folder, len(paths), cache_size, []):
        ensure_dir(folder.parent)
    remove_stale(folder.parent)
    unfinished = unfinished_folder(folder)
    with _locked(folder, len(paths), cache_size, progress):
        cache = find_pixel_cache(paths, cache_size=cache_size, folder=folder, reading=reading)
        if cache is not None:
            return cache
        if find_pixel_cache(paths, cache_size=cache_size, folder=unfinished, reading=reading) is not None:
            return _show(unfinished, folder)  # its builder was killed just before this
        with _swept(unfinished):
            rows, decode_s = _decode(
                paths, cache_size, folder, progress, num_threads=num_threads or _count_cores(), reading=reading
            )
            name = folder.name
            if names is not None:
                name = key_of_states([row_state(row) for row in rows], names, cache_size=cache_size, reading=reading)
            if name == folder.name:
                with _disk_errors(folder, len(paths), cache_size, rows):
                    finish_pixels(unfinished, rows, cache_size, progress, decode_s=decode_s)
                    return _show(unfinished, folder)
        true_folder = folder.with_name(name)
        with _locked(true_folder, len(paths), cache_size, progress):
            shutil.rmtree(unfinished_folder(true_folder), ignore_errors=True)
            unfinished.rename(unfinished_folder(true_folder))
    return build_pixel_cache(
        paths, cache_size=cache_size, folder=true_folder, progress=progress, num_threads=num_threads, reading=reading,
        names=names,
    )  # fmt: skip


def find_pixel_cache(
    paths: list[Path], *, cache_size: int, folder: Path, reading: Reading = AS_STORED
) -> PixelCache | None:
    """The cache that is there, or None where `build_pixel_cache` would build one or go on with one.

    It opens no image but those that could not be read before.
    """
    if not folder.exists():
        return None
    try:
        cache = PixelCache.open(folder)
    except DataError:
        return None
    has_recovered = any(not load_image(paths[row], cache_size, reading).error for row in cache.errors)
    return None if has_recovered or cache.num_images != len(paths) else cache


def _decode(
    paths: list[Path],
    cache_size: int,
    folder: Path,
    progress: Progress,
    *,
    num_threads: int,
    reading: Reading,
) -> tuple[list[Row], float | None]:
    """Fill the unfinished cache of a folder.

    Returns:
        The rows of all images, and the seconds that decoding all of them takes, as far as some were decoded now.
    """

    def is_current(number: int, row: Row) -> bool:
        is_still_bad = not row["error"] or bool(load_image(paths[number], cache_size, reading).error)
        return is_same_file(paths[number], row) and is_still_bad

    total = len(paths)
    about = {"num_images": total, "cache_size": cache_size, "window": reading.window, "frame": reading.frame}
    with _disk_errors(folder, total, cache_size, []):
        journal = PixelJournal(unfinished_folder(folder), about)
    with journal:
        with _disk_errors(folder, total, cache_size, journal.rows):
            journal.check(is_current, lambda done, found: progress("checking what was decoded before", done, found))
        rows, num_found = journal.rows, len(journal.rows)
        progress("decoding images", num_found, total)
        began = time.monotonic()
        images = load_all(paths[num_found:], cache_size, reading, num_threads=num_threads)
        with contextlib.closing(images), _disk_errors(folder, total, cache_size, rows):
            for loaded in images:
                if loaded is not None:
                    journal.append(loaded)
                progress("decoding images", len(rows), total)
            journal.sync()
        num_decoded = total - num_found
        return rows, (time.monotonic() - began) * total / num_decoded if num_decoded else None


def _show(unfinished: Path, folder: Path) -> PixelCache:
    """Give a whole cache its name, in the place of one that is no good."""
    drop_journal(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return PixelCache.open(folder)


@contextlib.contextmanager
def _swept(unfinished: Path) -> Iterator[None]:
    """When the work fails: keep what was decoded, unless it is nothing, or the disk is full and must be freed."""
    try:
        yield
    except BaseException as error:
        cause = error.__cause__
        if (isinstance(cause, OSError) and cause.errno in _FULL) or not has_pixels(unfinished):
            shutil.rmtree(unfinished, ignore_errors=True)
        raise


@contextlib.contextmanager
def _locked(folder: Path, total: int, cache_size: int, progress: Progress) -> Iterator[None]:
    lock = filelock.FileLock(folder.parent / f"{folder.name}.lock")
    while True:
        try:
            with _disk_errors(folder, total, cache_size, []):
                lock.acquire(timeout=0.5)
            break
        except filelock.Timeout:
            progress("waiting for another process that decodes these images", 0, total)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _disk_errors(folder: Path, total: int, cache_size: int, rows: list[Row]) -> Iterator[None]:
    """Turn a failed write into a message with the space that all images need, estimated from the rows there are."""
    try:
        yield
    except filelock.Timeout:  # an OSError as well
        raise
    except OSError as error:
        num_bytes = sum(row["channels"] * row["height"] * row["width"] for row in rows)
        needed = round(num_bytes / len(rows) * total) if rows else cache_size**2 * total
        raise DataError(
            f"The pixel cache of {total} images cannot be written to {folder.parent}: {error.strerror or error}. It "
            f"needs about {needed / 1e6:.0f} MB ({needed} bytes) there. Make space, or set MEDPEFT_HOME to a folder on "
            "a larger disk."
        ) from error


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
