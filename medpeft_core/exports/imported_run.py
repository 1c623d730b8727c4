"""Whether the files of an unpacked run are what a lab reads, before they are put where it reads them. Light."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import safetensors

from medpeft_core.errors import ExportError, MedPeftError
from medpeft_core.exports.archive import find_base_sha256
from medpeft_core.paths import read_json
from medpeft_core.reports.summary import TRAINING_KEYS, summarise_result
from medpeft_core.runs.notes import MAX_NOTES_LENGTH, MAX_OWNER_LENGTH, clean_tags
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RunState

Types = dict[str, tuple[type, ...]]

MAX_PREDICTION_CELLS = 100_000_000  # of all rows and columns; a million images with 14 labels have a third of that
MAX_LABELS = 10_000

_NUMBER, _COUNT, _TEXT = (int, float, type(None)), (int, type(None)), (str, type(None))
# What tables of runs compute with or show; one wrong value there would hide all other runs
_STATE_TYPES: Types = {
    "phase": (str,), "epoch": (int,), "epochs": _COUNT, "updated_at": (int, float), "error": _TEXT, "device": _TEXT,
    "step": _COUNT, "num_steps": _COUNT, "eta_s": _NUMBER,
}  # fmt: skip
_ORIGIN_TYPES: Types = {
    "num_params": _COUNT, "num_trainable_params": _COUNT, "num_train_images": _COUNT, "num_train_patients": _COUNT,
    "is_synthetic": (bool, type(None)), "positives": (dict,), "packages": (dict, type(None)), "labels": (list,),
    "data_notes": (list, type(None)), "task": _TEXT, "device_name": _TEXT, "num_images": (dict, type(None)),
}  # fmt: skip
_METRICS_TYPES: Types = {
    "val_auroc": _NUMBER, "test_auroc": _NUMBER, "test_auroc_low": _NUMBER, "test_auroc_high": _NUMBER,
    "num_trainable_params": _COUNT, "wall_time_s": _NUMBER, "thresholds": (dict,), "training": (dict,),
    "val": (dict, type(None)), "test": (dict, type(None)), "labels": (list,), "notes": (list,),
}  # fmt: skip
_TRAINING_TYPES: Types = dict.fromkeys(TRAINING_KEYS, _NUMBER) | {"epochs_done": _COUNT}
_FIGURE_TYPES: Types = dict.fromkeys(("auroc", "low", "high", "threshold"), _NUMBER) | {
    "num_positive": _COUNT, "num_negative": _COUNT,
}  # fmt: skip


def check_content(run: Run, base_sha256: str | None) -> None:
    """Look into every file that the lab opens by itself; each is opened, none is believed.

    Args:
        run: in the folder that it was unpacked to.
        base_sha256: of the base weights that came with it.

    Raises:
        ExportError: names the file that is no such file, and why.
    """
    with _naming("config.json"):
        config = run.any_config()
        read_json(run.config_path)
    for name, check in _CHECKS.items():
        path = run.folder / name
        if path.exists():
            with _naming(name):
                check(_read_object(path))
    if not run.is_pretraining:
        with _naming("metrics.json"):
            summarise_result(run)
    needed = find_base_sha256(config)
    if base_sha256 is not None and base_sha256 != needed:
        raise ExportError(
            f"The base weights {base_sha256}.safetensors of the archive are not those that config.json names. Nothing "
            "was imported."
        )
    base = run.home / "weights" / f"{base_sha256}.safetensors"
    for path in [*sorted(run.folder.rglob("*.safetensors")), *([base] if base_sha256 else [])]:
        with _naming(path.name), safetensors.safe_open(path, framework="np"):
            pass  # opening compares what the header claims with the length of the file
    for path in sorted(run.predictions_dir.glob("*.parquet")):
        with _naming(path.name):
            _check_table(path)


def _check_types(values: Any, types: Types) -> None:
    if not isinstance(values, dict):
        raise ValueError("it holds something else where an object should be")
    for name, allowed in types.items():
        if name in values and not isinstance(values[name], allowed):
            raise ValueError(f"its {name} is no value that a run has there")


def _check_state(values: dict[str, Any]) -> None:
    _check_types(values, _STATE_TYPES)
    RunState.from_dict(values)


def _check_origin(values: dict[str, Any]) -> None:
    _check_types(values, _ORIGIN_TYPES)
    labels = values.get("labels", [])
    if not all(isinstance(item, str) for item in labels) or len(labels) > MAX_LABELS:
        raise ValueError("its labels are no list of texts")
    if not all(isinstance(item, str) for item in values.get("data_notes") or []):
        raise ValueError("its data_notes are no texts")


def _check_meta(values: dict[str, Any]) -> None:
    tags, notes, owner = values.get("tags", []), values.get("notes", ""), values.get("owner", "")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or clean_tags(tags) != tags:
        raise ValueError("its tags are no list of short texts")
    for text, limit in ((notes, MAX_NOTES_LENGTH), (owner, MAX_OWNER_LENGTH)):
        if not isinstance(text, str) or len(text) > limit:
            raise ValueError("its notes or its owner are too long or no text")


def _check_metrics(values: dict[str, Any]) -> None:
    _check_types(values, _METRICS_TYPES)
    _check_types(values.get("training", {}), _TRAINING_TYPES)
    for split in ("val", "test"):
        per_class = (values.get(split) or {}).get("per_class", {})
        _check_types(per_class, {})
        for figures in per_class.values():
            _check_types(figures, _FIGURE_TYPES)


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "state.json": _check_state,
    "provenance.json": _check_origin,
    "meta.json": _check_meta,
    "metrics.json": _check_metrics,
}


def _read_object(path: Path) -> dict[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def _check_table(path: Path) -> None:
    facts = pyarrow.parquet.read_metadata(path)
    if facts.num_rows * facts.num_columns > MAX_PREDICTION_CELLS:
        raise ValueError(f"it claims {facts.num_rows:,} rows in {facts.num_columns:,} columns, more than is believed")


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into one sentence with its name."""
    try:
        yield
    except (MedPeftError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise _refuse(name, error) from error
    except (safetensors.SafetensorError, pyarrow.ArrowException) as error:
        raise _refuse(name, error) from error


def _refuse(name: str, error: Exception) -> ExportError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ExportError(f"{name} of the archive is refused: {reason}. Nothing was imported.")
