"""The second lesson as it ships with the lab: its run without weights, its answers, pictures and result. Light.

<folder>/result.json       what `shortcut_result.build_result` computed, and where and when
<folder>/answers/          `answers.parquet`, `about.json` and pictures, as `explain.masked_files` tells
<folder>/runs/<run_id>/    config, state, provenance, events, metrics, predictions
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.explain.masked_files import ABOUT_FILE, Masked, read_masked
from medpeft_core.lessons.shortcut import COMMAND
from medpeft_core.lessons.stored import check_target, copy_without_weights
from medpeft_core.paths import ensure_dir, read_json, write_json
from medpeft_core.runs.run import Run

STORED_DIR = Path(__file__).resolve().parents[2] / "assets" / "lessons" / "shortcut"
ANSWERS_DIR, RESULT_FILE = "answers", "result.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A result of the lesson: one that ships, or one of a run of this home.

    Attributes:
        result: as `shortcut_result.build_result` gives it; of one that ships also "made_at" (unix seconds), "run_id",
            "device_name", "lab_version", "packages" and "wall_time_s".
        masked: the answers and the pictures.
    """

    result: dict[str, Any]
    masked: Masked


def load_stored(folder: Path = STORED_DIR) -> Outcome | None:
    """The result that ships; None where this copy of the lab has none.

    Raises:
        RunError: a file is damaged.
        ExplainError: the answers are damaged.
    """
    if not (folder / RESULT_FILE).is_file():
        return None
    try:
        result = dict(read_json(folder / RESULT_FILE))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"The stored result {folder / RESULT_FILE} cannot be read: {error}. Put back the lab's own files, or make "
            f"it again: {COMMAND} --store FOLDER"
        ) from error
    return Outcome(result=result, masked=read_masked(folder / ANSWERS_DIR))


def store_outcome(run: Run, outcome: Outcome, folder: Path) -> None:
    """Put a result of this home into a folder, as it ships; an older one there is replaced.

    Args:
        run: the lesson's, finished.
        outcome: of this run.
        folder: made where it is missing.

    Raises:
        RunError: the folder holds something else that would be lost.
    """
    check_target(folder, run.home)
    (folder / RESULT_FILE).unlink(missing_ok=True)  # written last: what was interrupted is no result
    for name in (ANSWERS_DIR, "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    ensure_dir(folder / ANSWERS_DIR)
    about = {name: value for name, value in read_json(outcome.masked.folder / ABOUT_FILE).items() if name != "key"}
    names = [name for example in about["examples"] for name in example["files"].values()]
    for name in names:
        shutil.copyfile(outcome.masked.folder / name, folder / ANSWERS_DIR / name)
    write_json(folder / ANSWERS_DIR / ABOUT_FILE, about)
    answers = outcome.masked.answers.copy()
    numbers = answers.select_dtypes("float64").columns
    answers[numbers] = answers[numbers].astype("float32")  # half the bytes; logits are no finer
    answers.to_parquet(folder / ANSWERS_DIR / "answers.parquet", index=False, compression="zstd", compression_level=19)
    copy_without_weights(run, folder / "runs" / run.run_id)
    provenance, metrics = run.provenance(), run.metrics() or {}
    origin = {
        "made_at": time.time(),
        "run_id": run.run_id,
        "wall_time_s": metrics.get("training", {}).get("wall_time_s"),
        **{name: provenance.get(name) for name in ("device_name", "lab_version", "packages")},
    }
    write_json(folder / RESULT_FILE, {**outcome.result, **origin})
