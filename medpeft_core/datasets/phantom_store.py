"""Synthetic sets on disk: drawn once by several processes, put in place by one rename, found again afterwards.

A set is whole or not there; `whole_folders` says how.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.datasets.phantom_drawing import draw_all
from medpeft_core.datasets.phantom_job import JOB_FILE, STATEMENT, SetJob
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.whole_folders import make_folder
from medpeft_core.errors import DataError
from medpeft_core.paths import read_json, write_atomically, write_json

TABLE_FILE = "manifest.parquet"
ABOUT_FILE = "about.json"


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
            make_folder(
                folder, lambda staging: _fill(job, staging, progress, processes=processes),
                is_complete=lambda: is_complete(job, folder), progress=progress,
                waiting="waiting for another program that draws the same images", total=job.num_patients,
            )  # fmt: skip
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


def _fill(job: SetJob, staging: Path, progress: Progress, *, processes: int | None) -> None:
    """Everything a set consists of; the table, which makes it complete, comes last."""
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
