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
from medpeft_core.runs.notes import MAX_NOTES_LENGTH, MAX_OWNER_LENGTH, clean_tags
from medpeft_core.runs.run import Run

MAX_PREDICTION_CELLS = 100_000_000  # of all rows and columns; a million images with 14 labels have a third of that
MAX_LABELS = 10_000


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
    with _naming("state.json"):
        run.state()
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


def _check_origin(values: dict[str, Any]) -> None:
    labels = values.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(item, str) for item in labels) or len(labels) > MAX_LABELS:
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
    for name in ("training", "val", "test", "thresholds"):
        if not isinstance(values.get(name) or {}, dict):
            raise ValueError(f"its {name} is no object")


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
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
