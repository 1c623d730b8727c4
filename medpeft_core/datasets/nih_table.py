"""The two label tables of NIH ChestX-ray14 as plain data frames: findings of each image, and boxes of a few."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.images import UnreadableImageError, read_size
from medpeft_core.datasets.label_tables import read_columns
from medpeft_core.datasets.people import parse_ages, parse_sexes, parse_views
from medpeft_core.errors import DataError

ENTRY_FILES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
ENTRY_COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
BOX_FILE = "BBox_List_2017.csv"
BOX_COLUMNS = ("Image Index", "Finding Label")
NO_FINDING = "No Finding"
ORIGINAL_SIDE = 1024  # the boxes are given in pixels of the films as NIH distributes them
_BOX_LABELS = {"Infiltrate": "Infiltration"}


def read_entries(path: Path, labels: tuple[str, ...]) -> pd.DataFrame:
    """The rows of Data_Entry_2017.csv.

    Returns:
        Columns `name`, `patient_id` (text; missing where empty), `age` (years, also impossible ones), `sex`, `view`,
        and one float column for each of `labels` with 0 or 1.

    Raises:
        DataError: a column is missing, a finding is unknown, or the file is no table.
    """
    raw = read_columns(path, ENTRY_COLUMNS)
    raw = raw[raw["Image Index"] != ""]
    table = pd.DataFrame(
        {"name": raw["Image Index"], "patient_id": raw["Patient ID"].where(raw["Patient ID"] != "", None)}
    )
    table["age"] = parse_ages(raw["Patient Age"])
    table["sex"], table["view"] = parse_sexes(raw["Patient Gender"]), parse_views(raw["View Position"])
    targets = _parse_findings(path, raw["Finding Labels"], labels)
    return pd.concat([table, targets], axis=1).reset_index(drop=True)


def read_boxes(path: Path, labels: tuple[str, ...], files: dict[str, Path]) -> dict[str, str]:
    """The boxes of BBox_List_2017.csv in pixels of the files on disk, which may be smaller than the original films.

    Args:
        path: the table.
        labels: findings that a box may have.
        files: image name -> file; other images' boxes are passed over.

    Returns:
        Image name -> JSON text: list of `label`, `x`, `y`, `width`, `height`.

    Raises:
        DataError: a column is missing, a number is none, or a finding is unknown.
    """
    raw = read_columns(path, BOX_COLUMNS, num_following=4)
    boxes: dict[str, list[dict]] = {}
    for line, name, finding, *numbers in raw.itertuples(name=None):
        label = _BOX_LABELS.get(finding, finding)
        if name not in files:
            continue
        if label not in labels:
            raise DataError(f"Line {line} of {path} has the unknown finding {finding!r}. Known: {', '.join(labels)}.")
        try:
            corner = [float(number) for number in numbers]
        except ValueError as error:
            raise DataError(f"Line {line} of {path} must have four numbers x, y, w, h, but has {numbers}.") from error
        boxes.setdefault(name, []).append(
            {"label": label, **dict(zip(("x", "y", "width", "height"), corner, strict=True))}
        )
    return {name: json.dumps([scale_box(box, files[name]) for box in found]) for name, found in boxes.items()}


def _parse_findings(path: Path, texts: pd.Series, labels: tuple[str, ...]) -> pd.DataFrame:
    """(N, K) 0.0 or 1.0; each distinct combination of findings is parsed once."""
    codes, combinations = pd.factorize(texts)
    targets = np.zeros((len(combinations), len(labels)))
    for row, text in enumerate(combinations):
        findings = [name.strip() for name in text.split("|")]
        unknown = [name for name in findings if name not in labels and name != NO_FINDING]
        if unknown:
            line = texts.index[int(np.flatnonzero(codes == row)[0])]
            known = ", ".join((NO_FINDING, *labels))
            raise DataError(f"Line {line} of {path} has the unknown finding {unknown[0]!r}. Known: {known}.")
        targets[row] = [label in findings for label in labels]
    return pd.DataFrame(targets[codes], columns=list(labels), index=texts.index)


def scale_box(box: dict, file: Path) -> dict:
    """A box in pixels of an original film of NIH, brought to those of its file on disk, which may be smaller."""
    try:
        _, width = read_size(file)
    except UnreadableImageError:  # the pixel cache will tell; here the film is taken to be an original
        width = ORIGINAL_SIDE
    factor = width / ORIGINAL_SIDE
    return {"label": box["label"], **{name: round(box[name] * factor, 3) for name in ("x", "y", "width", "height")}}
