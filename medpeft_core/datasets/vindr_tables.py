"""The label and box tables of VinDr-CXR as data frames: what each of three radiologists saw, or a consensus."""

import json
from pathlib import Path

import pandas as pd

from medpeft_core.datasets.images import UnreadableImageError, read_size
from medpeft_core.datasets.label_tables import parse_numbers, read_columns
from medpeft_core.errors import DataError

FINDINGS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation",
    "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst",
    "Mediastinal shift", "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis",
    "Rib fracture", "Other lesion",
)  # fmt: skip
DISEASES = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")
# Findings of the train.csv of Kaggle's challenge, which merges some of PhysioNet's.
CHALLENGE_LABELS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration",
    "Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis", "No finding",
)  # fmt: skip
_OTHER_SPELLINGS = {"Other diseases": "Other disease"}  # the test table's
_CORNERS = ("x_min", "y_min", "x_max", "y_max")


def read_votes(path: Path, labels: tuple[str, ...]) -> pd.DataFrame:
    """What image_labels_train.csv or image_labels_test.csv say of each image.

    Args:
        path: the table; with three rows an image, one of each radiologist, or one row an image.
        labels: which.

    Returns:
        Indexed by the image's id, one float column a label: the share of its radiologists who saw it, 0 to 1.

    Raises:
        DataError: a column is missing, a mark is not 0 or 1, or a radiologist is listed twice for an image.
    """
    raw = read_columns(path, ("image_id",), optional=("rad_id", *labels, *_OTHER_SPELLINGS.values()))
    raw = raw.rename(columns={other: name for name, other in _OTHER_SPELLINGS.items() if name not in raw})
    missing = [name for name in labels if name not in raw]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}. Get the original file.")
    keys = ["image_id", "rad_id"] if "rad_id" in raw else ["image_id"]
    doubled = raw[keys][raw[keys].duplicated()]
    if len(doubled):
        raise DataError(
            f"Line {doubled.index[0]} of {path} repeats {' of '.join(doubled.iloc[0][::-1])}. Get the original file."
        )
    marks = parse_numbers(path, raw, labels, allowed=(0.0, 1.0)).fillna(0.0)
    return marks.groupby(raw["image_id"].to_numpy()).mean()


def read_challenge_votes(path: Path) -> pd.DataFrame:
    """The same of the train.csv of Kaggle's challenge: a row for each box, or for "No finding", of each radiologist.

    Raises:
        DataError: a column is missing, or a class is unknown.
    """
    raw = read_columns(path, ("image_id", "class_name", "rad_id"))
    odd = raw["class_name"][~raw["class_name"].isin(CHALLENGE_LABELS)]
    if len(odd):
        known = ", ".join(CHALLENGE_LABELS)
        raise DataError(f"Line {odd.index[0]} of {path} has the unknown class {odd.iloc[0]!r}. Known: {known}.")
    num_readers = raw.drop_duplicates(["image_id", "rad_id"]).groupby("image_id").size()
    seen = raw.drop_duplicates(["image_id", "rad_id", "class_name"])
    counts = seen.groupby(["image_id", "class_name"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(CHALLENGE_LABELS), fill_value=0)
    return counts.div(num_readers, axis=0).astype(float)


def decide(votes: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Shares of radiologists as targets: "majority" (more than half), "any" or "all" of them."""
    shares = votes.to_numpy()
    targets = {"majority": shares > 0.5, "any": shares > 0, "all": shares >= 1}[rule]
    return pd.DataFrame(targets.astype(float), columns=votes.columns, index=votes.index)


def read_boxes(path: Path, labels: tuple[str, ...], files: dict[str, Path], sizes: dict[str, int]) -> dict[str, str]:
    """The boxes of annotations_train.csv, annotations_test.csv or Kaggle's train.csv, in pixels of the files on disk.

    The boxes are given in pixels of the DICOM files. For files of another kind, which may be smaller, the width of the
    original must be known.

    Args:
        path: the table; rows without a box ("No finding", diseases) are passed over.
        labels: whose boxes are wanted.
        files: image id -> file; others' boxes are passed over.
        sizes: image id -> width of the DICOM file in pixels; may lack images.

    Returns:
        Image id -> JSON text: list of `label`, `x`, `y`, `width`, `height`; without images whose scale is not known.

    Raises:
        DataError: a column is missing, a number is none, or a box has no area.
    """
    raw = read_columns(path, ("image_id", "class_name", *_CORNERS))
    raw = raw[raw["image_id"].isin(list(files)) & raw["class_name"].isin(labels)]
    raw = raw[~(raw[list(_CORNERS)] == "").all(axis=1)]
    corners = parse_numbers(path, raw, _CORNERS)
    is_flat = (corners["x_max"] <= corners["x_min"]) | (corners["y_max"] <= corners["y_min"])
    is_odd = is_flat | corners.isna().any(axis=1)
    if is_odd.any():
        line = is_odd.index[is_odd.to_numpy()].tolist()[0]
        raise DataError(f"Line {line} of {path} has no box: {', '.join(raw.loc[line, list(_CORNERS)])}.")
    scales = {name: _scale_of(files[name], sizes.get(name)) for name in raw["image_id"].unique()}
    found: dict[str, list[dict]] = {}
    for name, label, values in zip(raw["image_id"], raw["class_name"], corners.to_numpy(), strict=True):
        factor = scales[name]
        if factor is None:
            continue
        left, top, right, bottom = (float(value) * factor for value in values)
        numbers = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        found.setdefault(name, []).append({"label": label, **{key: round(value, 3) for key, value in numbers.items()}})
    return {name: json.dumps(boxes) for name, boxes in found.items()}


def read_widths(path: Path) -> dict[str, int]:
    """Image id -> width of the DICOM file, from a train_meta.csv or test_meta.csv with `dim0` (height) and `dim1`.

    Raises:
        DataError: a column is missing, or a number is none.
    """
    raw = read_columns(path, ("image_id", "dim1"))
    widths = parse_numbers(path, raw, ("dim1",))["dim1"]
    return {name: int(width) for name, width in zip(raw["image_id"], widths, strict=True) if width > 0}


def _scale_of(file: Path, width: int | None) -> float | None:
    """Pixels of the file per pixel of the DICOM file, or None where nobody knows."""
    if file.suffix.lower() in (".dicom", ".dcm"):
        return 1.0
    if width is None:
        return None
    try:
        return read_size(file)[1] / width
    except UnreadableImageError:  # the pixel cache will tell
        return None
