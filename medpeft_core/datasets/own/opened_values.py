"""The values of a shared data set, held against what an honest one holds. Light."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS
from medpeft_core.datasets.manifest import FIXED_COLUMNS, OPTIONAL_COLUMNS
from medpeft_core.datasets.own.guessing import MAX_CLASSES
from medpeft_core.datasets.own.label_table import MAX_LABEL, RESERVED
from medpeft_core.datasets.own.stored_sets import NAME_PATTERN
from medpeft_core.datasets.own.zip_entries import find_name_fault, is_control
from medpeft_core.errors import DataError

MAX_TITLE, MAX_NOTE = 100, 2000
MAX_NOTES = 200
MAX_TEXT = 400  # characters of a path or another cell
MAX_BOXES = 100_000  # characters
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_REMEDY = "Get the file again from where it was shared."
_ALLOWED = {
    "sex": {"F", "M"},
    "laterality": {"L", "R", "B"},
    "skin_type": set("123456"),
    "split": {"train", "val", "test"},
}


@dataclass(frozen=True, kw_only=True)
class SharedAbout:
    """The part of `About` that a shared file tells."""

    name: str
    title: str
    task: str
    labels: tuple[str, ...]
    is_ordered: bool
    form: str
    fingerprint: str
    notes: tuple[str, ...]


def read_about(path: Path, values: Any, *, remedy: str = _REMEDY) -> SharedAbout:
    """What a file says of its set.

    Args:
        path: of the file.
        values: that it says.
        remedy: what to do where that cannot be.

    Raises:
        DataError: a field is missing or holds what no honest file does.
    """
    if not isinstance(values, dict):
        raise DataError(f"{path.name} does not say what it holds. {remedy}")

    def take(name: str, is_fine: bool) -> Any:
        if not is_fine:
            raise DataError(f"{path.name} says {str(values.get(name))[:60]!r} as {name}, which cannot be. {remedy}")
        return values[name]

    name, title, labels, notes = (values.get(key) for key in ("name", "title", "labels", "notes"))
    return SharedAbout(
        name=take("name", isinstance(name, str) and NAME_PATTERN.fullmatch(name) is not None),
        title=take("title", _is_text(title, MAX_TITLE)),
        task=take("task", values.get("task") in ("multilabel", "multiclass")),
        labels=tuple(take("labels", _are_labels(labels))),
        is_ordered=take("is_ordered", isinstance(values.get("is_ordered"), bool)),
        form=take("form", values.get("form") in ("folder", "table", "dicom")),
        fingerprint=take("fingerprint", bool(_FINGERPRINT.fullmatch(str(values.get("fingerprint"))))),
        notes=tuple(take("notes", _are_notes(notes))),
    )


def is_image_name(name: str) -> bool:
    """Whether a path ends as images do; DICOM files may have no ending, or digits for one."""
    last = name.rpartition("/")[2]
    is_plain = last.lower().endswith((*IMAGE_ENDINGS, *DICOM_ENDINGS))
    return is_plain or "." not in last or not last.rpartition(".")[2].strip("0123456789")


def check_columns(path: Path, schema: pa.Schema, labels: tuple[str, ...]) -> None:
    """Hold the columns of a Parquet file against those of a manifest.

    Raises:
        DataError: names the column that is missing, superfluous or of another type.
    """
    needed, allowed = {*FIXED_COLUMNS, *labels}, {*FIXED_COLUMNS, *OPTIONAL_COLUMNS, *labels}
    names = list(schema.names)
    odd = [name for name in names if name not in allowed] or [name for name in needed if name not in names]
    if odd or len(set(names)) < len(names):
        shown = str(odd[0])[:60] if odd else "one"
        raise DataError(f"The manifest in {path.name} lacks the column {shown!r}, or has it too much. {_REMEDY}")
    for item in schema:
        is_number = item.name in labels or item.name == "age"
        is_text = pa.types.is_string(item.type) or pa.types.is_large_string(item.type) or pa.types.is_null(item.type)
        if not (pa.types.is_floating(item.type) or pa.types.is_null(item.type) if is_number else is_text):
            raise DataError(f"The column {item.name!r} in {path.name} holds {item.type}, which cannot be. {_REMEDY}")


def check_table(path: Path, table: pd.DataFrame, *, remedy: str = _REMEDY) -> None:
    """Hold every value of a manifest against its rules, beyond those that `Manifest.check` knows.

    Args:
        path: of the file.
        table: of its manifest.
        remedy: what to do where a value cannot be.

    Raises:
        DataError: names the value.
    """
    if table.empty:
        raise DataError(f"The manifest in {path.name} has no rows. {remedy}")

    def refuse(column: str, value: Any, reason: str) -> DataError:
        return DataError(f"The manifest in {path.name} has {str(value)[:60]!r} as {column}: {reason}. {remedy}")

    for name in ("image", "mask"):
        for value in table[name].dropna() if name in table else ():
            fault = find_name_fault(value) if value and "\\" not in value else "it holds what no path does"
            if fault or len(value) > MAX_TEXT:
                raise refuse(name, value, fault or "it is too long")
    if table["image"].isna().any():
        raise refuse("image", "", "it is missing")
    for name, allowed in _ALLOWED.items():
        if name in table:
            odd = [value for value in table[name].dropna().unique() if value not in allowed]
            if odd:
                raise refuse(name, odd[0], f"it must be one of {', '.join(sorted(allowed))}")
    for name in ("patient_id", "view", "site", "date"):
        for value in table[name].dropna().unique() if name in table else ():
            if not _is_text(value, MAX_TEXT):
                raise refuse(name, value, "it is too long, or holds what no text does")
    for value in table["boxes"].dropna() if "boxes" in table else ():
        if len(value) > MAX_BOXES or not _are_boxes(value):
            raise refuse("boxes", value, "it is no list of boxes")
    if "age" in table and not table["age"].dropna().between(0, 120).all():
        raise refuse("age", "a number", "it must lie between 0 and 120")


def _are_labels(values: Any) -> bool:
    return (
        isinstance(values, list)
        and 0 < len(values) <= MAX_CLASSES
        and all(_is_text(value, MAX_LABEL) and value and value not in RESERVED for value in values)
        and len(set(values)) == len(values)
    )


def _are_notes(values: Any) -> bool:
    return isinstance(values, list) and len(values) <= MAX_NOTES and all(_is_text(value, MAX_NOTE) for value in values)


def _are_boxes(text: str) -> bool:
    try:
        boxes = json.loads(text)
    except (ValueError, RecursionError):
        return False
    numbers = ("x", "y", "width", "height")
    return isinstance(boxes, list) and all(
        isinstance(box, dict)
        and set(box) == {"label", *numbers}
        and _is_text(box["label"], MAX_LABEL)
        and all(isinstance(box[name], int | float) and abs(box[name]) < 1e9 for name in numbers)
        for box in boxes
    )


def _is_text(value: Any, length: int) -> bool:
    return isinstance(value, str) and len(value) <= length and (value.isprintable() or not any(map(is_control, value)))
