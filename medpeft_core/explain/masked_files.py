"""The files that tell what a run answers with the mark painted over. Light: pages read them.

They lie in `<cache>/masking/<run id>/`: `answers.parquet` (a row for each val and test image), `about.json` (maps and
examples), and small pictures. They count as long as the run has the same weights and predictions.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.errors import ExplainError
from medpeft_core.explain.stored import hash_values, stamp_file
from medpeft_core.paths import cache_dir, ensure_dir, read_json, write_atomically, write_json
from medpeft_core.runs.run import Run

FORMAT_VERSION = 1  # to be raised whenever the same run would give other files
ANSWERS_FILE, ABOUT_FILE = "answers.parquet", "about.json"


@dataclass(frozen=True, kw_only=True)
class Masked:
    """What the files hold.

    Attributes:
        folder: where they lie.
        answers: as `masking.mask_answers` gives them.
        about: {"finding", "labels", "thresholds", "maps": as `mark_maps.measure_maps` gives them, "examples": as
            `mark_maps.draw_examples` gives them}.
    """

    folder: Path
    answers: pd.DataFrame
    about: dict[str, Any]

    def picture(self, example: dict[str, Any], kind: str) -> bytes | None:
        """The content of a picture of an example; None where it has none or the file was cleared away."""
        name = example["files"].get(kind)
        try:
            return None if name is None else (self.folder / Path(name).name).read_bytes()
        except OSError:
            return None


def masked_dir(run: Run) -> Path:
    """The folder of a run's files; it need not exist."""
    return cache_dir() / "masking" / run.run_id


def masked_key(run: Run) -> str:
    """What the files depend on; another text when the run gets other weights or predictions."""
    parts = (*sorted(run.adapter_dir.glob("*.safetensors")), run.metrics_path)
    return hash_values((FORMAT_VERSION, run.run_id, *(stamp_file(path) for path in parts)))


def find_masked(run: Run) -> Path | None:
    """The folder of a run's files when all are there and still true."""
    folder = masked_dir(run)
    try:
        about = read_json(folder / ABOUT_FILE)
        names = [ANSWERS_FILE, *(name for example in about["examples"] for name in example["files"].values())]
        is_whole = about["key"] == masked_key(run) and all((folder / name).is_file() for name in names)
    except (OSError, ValueError, KeyError, TypeError):  # none yet, cleared away, or damaged
        return None
    return folder if is_whole else None


def write_masked(run: Run, answers: pd.DataFrame, about: dict[str, Any], pictures: dict[str, bytes]) -> Path:
    """Keep the files of a run, the one that says they are whole last; gives their folder."""
    folder = ensure_dir(masked_dir(run))
    for name, content in pictures.items():
        write_atomically(folder / name, partial(_write_bytes, content=content))
    write_atomically(folder / ANSWERS_FILE, lambda path: answers.to_parquet(path, index=False))
    write_json(folder / ABOUT_FILE, {"key": masked_key(run), **about})
    return folder


def read_masked(folder: Path) -> Masked:
    """What `write_masked` wrote, there or copied to another place.

    Raises:
        ExplainError: a file is missing or damaged.
    """
    try:
        about = dict(read_json(folder / ABOUT_FILE))
        answers = pd.read_parquet(folder / ANSWERS_FILE)
        missing = {"finding", "labels", "thresholds", "maps", "examples"} - set(about)
        if missing:
            raise ValueError(f"{ABOUT_FILE} lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        raise ExplainError(
            f"The answers in {folder} cannot be read: {error}. Delete the folder; they are made again."
        ) from error
    return Masked(folder=folder, answers=answers, about=about)


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
