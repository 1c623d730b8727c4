"""Folders of files that are whole or not there: they grow in a hidden sibling and get their name by one rename.

A lock beside the folder keeps two programs from making the same one; what a killed one left is removed by the next.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from medpeft_core.datasets.progress import Progress
from medpeft_core.paths import ensure_dir

POLL_S = 0.3


def make_folder(
    folder: Path,
    fill: Callable[[Path], None],
    *,
    is_complete: Callable[[], bool],
    progress: Progress,
    waiting: str,
    total: int = 0,
) -> None:
    """Make a folder unless somebody else, whom this waits for, has just done so.

    Args:
        folder: absent or empty; its parents are made.
        fill: gets an empty folder beside it and puts everything into it. If it raises, nothing is left.
        is_complete: whether the folder is there as wanted; asked again once nobody else is at work on it.
        progress: told `waiting` while somebody else is at work; may raise to stop.
        waiting: what is waited for, such as "waiting for another program that draws the same images".
        total: units of the work, for `progress`.

    Raises:
        OSError: it cannot be written.
    """
    ensure_dir(folder.parent)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    acquire(lock, progress, waiting, total)
    try:
        if is_complete():
            return
        for leftover in folder.parent.glob(f".{folder.name}.partial-*"):  # of a program that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.partial-"))
        try:
            staging.chmod(0o755)  # mkdtemp makes 0700, which a group on a shared server could not read
            fill(staging)
            if folder.exists():
                folder.rmdir()
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        lock.release()


def acquire(lock: FileLock, progress: Progress, waiting: str, total: int = 0) -> None:
    """Take a lock, telling `progress`, which may raise to stop, while somebody else has it."""
    while True:
        try:
            lock.acquire(timeout=POLL_S)
            return
        except Timeout:
            progress(waiting, 0, total)
