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
from medpeft_core.exports.imported_events import check_events
from medpeft_core.exports.imported_values import (
    COUNT,
    IS_COUNT,
    IS_NUMBER,
    IS_TEXT,
    NUMBER,
    TEXT,
    Types,
    check_items,
    check_matrix,
    check_time,
    check_types,
    parse_object,
)
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.paths import read_json
from medpeft_core.reports.summary import TRAINING_KEYS, summarise_result
from medpeft_core.runs.notes import MAX_NOTES_LENGTH, MAX_OWNER_LENGTH, clean_tags
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RunState

MAX_PREDICTION_CELLS = 100_000_000  # of all rows and columns; a million images with 14 labels have a third of that
MAX_LABELS = 10_000
TASKS = ("multilabel", "multiclass")  # as `metrics.evaluate` has them, which is heavy

_FLAG = (bool, type(None))
# What tables and pages compute with or show; one wrong value there would hide all other runs
_STATE_TYPES: Types = {
    "phase": IS_TEXT, "epoch": IS_COUNT, "epochs": COUNT, "updated_at": IS_NUMBER, "error": TEXT, "device": TEXT,
    "step": COUNT, "num_steps": COUNT, "eta_s": NUMBER,
}  # fmt: skip
_ORIGIN_TYPES: Types = {
    "num_params": COUNT, "num_trainable_params": COUNT, "num_decoder_params": COUNT, "num_train_images": COUNT,
    "num_train_patients": COUNT, "num_patches": COUNT, "num_visible_patches": COUNT, "is_synthetic": _FLAG,
    "positives": (dict,), "packages": (dict, type(None)), "labels": (list,), "data_notes": (list,), "warnings": (list,),
    "task": TEXT, "is_ordered": _FLAG, "device_name": TEXT, "data_fingerprint": TEXT,
    "num_images": (dict, type(None)),
}  # fmt: skip
_POSITIVES = ("num_positive", "num_negative", "num_unknown")
_METRICS_TYPES: Types = {
    "val_auroc": NUMBER, "test_auroc": NUMBER, "test_auroc_low": NUMBER, "test_auroc_high": NUMBER,
    "num_trainable_params": COUNT, "wall_time_s": NUMBER, "thresholds": (dict,), "training": (dict,),
    "val": (dict,), "test": (dict,), "labels": (list,), "notes": (list,), "task": TEXT, "dataset": TEXT,
    "is_synthetic": _FLAG, "is_ordered": _FLAG, "first_train_loss": NUMBER, "train_loss": NUMBER,
    "rebuilt": (dict, type(None)),
} | dict.fromkeys((f"test_{name}" for name in DECISION_METRICS), NUMBER)  # fmt: skip
_TRAINING_TYPES: Types = dict.fromkeys((*TRAINING_KEYS, "data_wait_frac"), NUMBER) | {
    "epochs_done": COUNT, "steps_done": COUNT, "best_epoch": COUNT, "num_train_images": COUNT,
    "num_train_patients": COUNT, "device_name": TEXT,
}  # fmt: skip
_SPLIT_TYPES: Types = {
    "macro": (dict,), "per_class": (dict,), "confidence": IS_NUMBER, "bootstrap_samples": IS_COUNT,
    "interval": IS_TEXT, "num_images": COUNT, "num_patients": COUNT, "is_ordered": _FLAG,
    "confusion": (list, type(None)), "num_valid_samples": COUNT, "reason": TEXT,
} | dict.fromkeys((f"{name}{end}" for name in DECISION_METRICS for end in ("", "_low", "_high")), NUMBER)  # fmt: skip
_MACRO_TYPES: Types = dict.fromkeys(
    ("auroc", "auroc_low", "auroc_high", "auprc", "auprc_low", "auprc_high"), NUMBER
) | {"num_valid_samples": IS_COUNT, "num_labels": IS_COUNT, "labels_left_out": (dict,)}
_FIGURE_TYPES: Types = dict.fromkeys(
    ("auroc", "low", "high", "auprc", "auprc_low", "auprc_high", "prevalence", "threshold", "sensitivity",
     "specificity", "f1"), NUMBER
) | dict.fromkeys(("num_positive", "num_negative"), IS_COUNT) | {
    "num_unknown": COUNT, "num_valid_samples": COUNT, "reason": TEXT,
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
                check(parse_object(path.read_text(encoding="utf-8")))
    with _naming("events.jsonl"):
        check_events(run.events_path)
    if not run.is_pretraining:
        with _naming("provenance.json"):
            check_types(run.provenance(), {"task": IS_TEXT}, needed=("labels", "task"))
        with _naming("metrics.json"):
            if (metrics := run.metrics()) is not None:
                _check_results(metrics)
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


def _check_state(values: dict[str, Any]) -> None:
    check_types(values, _STATE_TYPES)
    check_time(values.get("updated_at"))
    RunState.from_dict(values)


def _check_origin(values: dict[str, Any]) -> None:
    check_types(values, _ORIGIN_TYPES)
    if values.get("task") not in (None, *TASKS):
        raise ValueError(f"its task is none of {', '.join(TASKS)}")
    _check_labels(values.get("labels", []))
    for name in ("data_notes", "warnings"):
        if not all(isinstance(item, str) for item in values.get(name, [])):
            raise ValueError(f"its {name} are no texts")
    check_items(values.get("num_images"), COUNT, "num_images")
    for counts in values.get("positives", {}).values():
        check_types(counts, dict.fromkeys(_POSITIVES, IS_COUNT), needed=_POSITIVES)
        if min(counts[name] for name in _POSITIVES) < 0:
            raise ValueError("its positives count less than nothing")


def _check_meta(values: dict[str, Any]) -> None:
    tags, notes, owner = values.get("tags", []), values.get("notes", ""), values.get("owner", "")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or clean_tags(tags) != tags:
        raise ValueError("its tags are no list of short texts")
    for text, limit in ((notes, MAX_NOTES_LENGTH), (owner, MAX_OWNER_LENGTH)):
        if not isinstance(text, str) or len(text) > limit:
            raise ValueError("its notes or its owner are too long or no text")


def _check_metrics(values: dict[str, Any]) -> None:
    check_types(values, _METRICS_TYPES)
    check_types(values.get("training", {}), _TRAINING_TYPES)
    _check_labels(values.get("labels", []))
    check_items(values.get("thresholds"), NUMBER, "thresholds")
    check_types(values.get("rebuilt") or {}, {"masked_error": NUMBER, "mean_fill_error": NUMBER, "epoch": COUNT})
    for split in ("val", "test"):
        part = values.get(split, {})
        check_types(part, _SPLIT_TYPES)
        check_types(part.get("macro", {}), _MACRO_TYPES)
        check_matrix(part.get("confusion"), len(values.get("labels", [])), "confusion")
        for figures in part.get("per_class", {}).values():
            check_types(figures, _FIGURE_TYPES)


def _check_results(values: dict[str, Any]) -> None:
    """Refuse the results of a training that lack what every page about them shows."""
    check_types(values, {"task": IS_TEXT}, needed=("val_auroc", "test_auroc", "labels", "task", "thresholds"))
    check_types(values.get("training"), {}, needed=("epochs_done", "wall_time_s", "peak_memory_bytes"))
    labels = set(values["labels"])
    if values["thresholds"].keys() != labels:
        raise ValueError("its thresholds are not those of its labels")
    for split in ("val", "test"):
        part = values.get(split, {})
        check_types(part, {}, needed=("confidence", "bootstrap_samples", "interval", "macro", "per_class"))
        check_types(part["macro"], {}, needed=("num_valid_samples", "num_labels", "labels_left_out"))
        if part["per_class"].keys() != labels:
            raise ValueError(f"its figures on {split} are not those of its labels")
        for figures in part["per_class"].values():
            check_types(figures, {}, needed=("auroc", "low", "high", "num_positive", "num_negative"))


def _check_labels(labels: list[Any]) -> None:
    if not all(isinstance(item, str) for item in labels) or len(labels) > MAX_LABELS:
        raise ValueError("its labels are no list of texts")
    if len(set(labels)) != len(labels):
        raise ValueError("it names a label twice")


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "state.json": _check_state,
    "provenance.json": _check_origin,
    "meta.json": _check_meta,
    "metrics.json": _check_metrics,
}


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
