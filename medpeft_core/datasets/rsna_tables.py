"""The tables of the RSNA Pneumonia Detection Challenge: labels with boxes, kinds of negatives, and the patients."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.datasets.image_files import DICOM_ENDINGS
from medpeft_core.datasets.label_rows import keep_agreeing_rows
from medpeft_core.datasets.label_tables import parse_numbers, read_columns
from medpeft_core.datasets.nih_table import scale_box
from medpeft_core.errors import DataError

LABEL = "Pneumonia"
LABEL_FILE = "stage_2_train_labels.csv"
CLASS_FILE = "stage_2_detailed_class_info.csv"
PATIENT_FILE = "pneumonia-challenge-dataset-mappings_2018.json"
_BOX = ("x", "y", "width", "height")
_OPACITY = "lung opacity"


def read_labels(path: Path) -> pd.DataFrame:
    """The label table: several rows for an image with several boxes.

    Returns:
        A row per image, sorted by name: `key` (patientId, which is the file's name), `Pneumonia` (0.0 or 1.0), and
        `boxes` (list of dicts as the manifest's, in pixels of the original film; empty for most).

    Raises:
        DataError: a column is missing, a number is none, rows of an image disagree, or a box goes with Target 0.
    """
    raw = read_columns(path, ("patientId", *_BOX, "Target"))
    raw = raw[raw["patientId"] != ""]
    numbers = parse_numbers(path, raw, _BOX).join(parse_numbers(path, raw, ("Target",), allowed=(0, 1)))
    numbers["key"] = raw["patientId"]
    _check_rows(path, numbers)
    boxes: dict[str, list[dict[str, Any]]] = {}
    for key, *corner in numbers.loc[numbers["x"].notna(), ["key", *_BOX]].itertuples(index=False):
        boxes.setdefault(str(key), []).append({"label": LABEL, **dict(zip(_BOX, map(float, corner), strict=True))})
    table = keep_agreeing_rows(path, numbers, "key", ("Target",), [])  # repeated rows are boxes here: nothing to tell
    table = table[["key", "Target"]].rename(columns={"Target": LABEL}).sort_values("key", ignore_index=True)
    table["boxes"] = pd.Series([boxes.get(key, []) for key in table["key"]], index=table.index, dtype=object)
    return table


def tell_negatives(path: Path, table: pd.DataFrame) -> list[str]:
    """Sentences on the images without pneumonia, from the table of classes: how many are normal, and contradictions.

    Args:
        path: stage_2_detailed_class_info.csv.
        table: what `read_labels` gave.

    Raises:
        DataError: a column is missing, or rows of an image disagree.
    """
    raw = keep_agreeing_rows(path, read_columns(path, ("patientId", "class")), "patientId", ("class",), [])
    classes = table["key"].map(raw.set_index("patientId")["class"])
    is_negative = table[LABEL] == 0
    counts = classes[is_negative].value_counts().sort_index()
    told = ", ".join(f"{count} {name!r}" for name, count in counts.items())
    notes = [f"Images without pneumonia by their class: {told}."] if told else []
    num_wrong = int(((classes.str.lower() == _OPACITY) == is_negative)[classes.notna()].sum())
    if num_wrong:
        notes.append(f"{path.name} contradicts the labels of {num_wrong} images; the labels were used.")
    return notes


def write_boxes(boxes: list[dict[str, Any]], file: Path) -> str | None:
    """The boxes of an image as JSON text in pixels of its file; a converted one may be smaller than the DICOM file."""
    if not boxes:
        return None
    is_original = file.name.lower().endswith(DICOM_ENDINGS)
    return json.dumps(boxes if is_original else [scale_box(box, file) for box in boxes])


def read_patients(path: Path) -> dict[str, str]:
    """Image -> patient of NIH ChestX-ray14, where all films come from, out of RSNA's map of the challenge.

    Raises:
        DataError: the file is not that map.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
        return {str(row["subset_img_id"]): str(row["img_id"]).partition("_")[0] for row in rows}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} is not the map of RSNA's challenge: a JSON list with subset_img_id and img_id in each entry "
            f"({error!r}). Get it again from RSNA, or remove it."
        ) from error


def _check_rows(path: Path, numbers: pd.DataFrame) -> None:
    has_box = numbers[list(_BOX)].notna()
    problems = (
        (numbers["Target"].isna(), "has no Target"),
        (has_box.any(axis=1) & ~has_box.all(axis=1), "must have all of x, y, width and height, or none"),
        ((numbers["width"] <= 0) | (numbers["height"] <= 0), "has a box without an area"),
        (has_box.any(axis=1) & (numbers["Target"] == 0), "has a box, but its Target is 0"),
    )
    for is_wrong, problem in problems:
        if is_wrong.any():
            line = is_wrong.index[is_wrong.to_numpy()].tolist()[0]
            raise DataError(f"Line {line} of {path} {problem}. Get the original file.")
