"""Synthetic sets on disk: drawn once by several processes, put in place by one rename, found again afterwards.

A set is whole or not there: it grows in a hidden sibling folder and gets its name at the end. A lock beside it keeps
two programs from drawing the same set; what a killed one left is removed by the next.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from medpeft_core.datasets.phantom_drawing import draw_all
from medpeft_core.datasets.phantom_job import JOB_FILE, STATEMENT, SetJob
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir, read_json, write_atomically, write_json

TABLE_FILE = "manifest.parquet"
ABOUT_FILE = "about.json"
POLL_S = 0.3


def open_set(job: SetJob, folder: Path, progress: Progress, *, processes: int | None = None) -> pd.DataFrame:
    """The table of a set, drawn first where it is not there yet.

    Args:
        job: what the set holds.
        folder: of the set; made here, or empty, or the same set from before.
        progress: told of every patient; an exception from it ends the work and leaves nothing.
        processes: how many draw at the same time; None takes one per core. The result does not depend on it.

    Returns:
        See `read_table`.

    Raises:
        DataError: the folder holds something else, or cannot be written.
    """
    if not is_complete(job, folder):
        try:
            _draw_once(job, folder, progress, processes=processes)
        except OSError as error:
            raise DataError(
                f"The synthetic set cannot be written to {folder}: {error}. "
                "Check free space and permissions, or choose another folder."
            ) from error
    return read_table(folder)


def read_table(folder: Path) -> pd.DataFrame:
    """What `plan_table` gives, with `mask` (relative path or missing) and `boxes` (JSON text), of a complete set.

    The rows are sorted by image.
    """
    return pd.read_parquet(folder / TABLE_FILE)


def is_complete(job: SetJob, folder: Path) -> bool:
    """Whether this very set is there; a folder with anything else in it is refused.

    Raises:
        DataError: the folder holds another set, or other files.
    """
    about = folder / ABOUT_FILE
    if about.is_file() and (folder / TABLE_FILE).is_file():
        found = read_json(about)
        if all(found.get(key) == value for key, value in job.identity.items()):
            return True
        raise DataError(
            f"{folder} holds a synthetic set with other settings ({found.get('dataset')}, {found.get('options')}), "
            f"but {job.dataset} with {job.options} is wanted. Choose another folder, or empty this one."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder and holds no synthetic set. Choose an empty or a new folder.")
    return False


def _draw_once(job: SetJob, folder: Path, progress: Progress, *, processes: int | None) -> None:
    """Draw the set unless somebody else, whom this waits for, has just done so."""
    ensure_dir(folder.parent)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    _acquire(lock, progress, job.num_patients)
    try:
        if is_complete(job, folder):
            return
        for leftover in folder.parent.glob(f".{folder.name}.partial-*"):  # of a program that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.partial-"))
        try:
            _fill(job, staging, progress, processes=processes)
            if folder.exists():
                folder.rmdir()
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        lock.release()


def _acquire(lock: FileLock, progress: Progress, total: int) -> None:
    while True:
        try:
            lock.acquire(timeout=POLL_S)
            return
        except Timeout:
            progress("waiting for another program that draws the same images", 0, total)


def _fill(job: SetJob, staging: Path, progress: Progress, *, processes: int | None) -> None:
    """Everything a set consists of; the table, which makes it complete, comes last."""
    staging.chmod(0o755)  # mkdtemp makes 0700, which a group on a shared server could not read
    for name in ("images", "masks"):
        (staging / name).mkdir()
    job.save(staging / JOB_FILE)
    table = pd.DataFrame(draw_all(job, staging, progress, processes=processes or max(1, os.cpu_count() or 1)))
    if job.mark:
        table["shortcut"] = table["image"].isin(job.marked).astype(float)
    (staging / "README.txt").write_text(STATEMENT + "\n", encoding="utf-8")
    write_json(staging / ABOUT_FILE, job.about())
    table = table.sort_values("image", ignore_index=True)
    write_atomically(staging / TABLE_FILE, _parquet_writer(table))


def _parquet_writer(table: pd.DataFrame) -> Callable[[Path], Any]:
    return lambda path: table.to_parquet(path, index=False)
