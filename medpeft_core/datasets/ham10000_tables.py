"""The tables of HAM10000 as plain data frames: its metadata, and the labels of ISIC 2018's test images in two forms."""

from pathlib import Path

import pandas as pd

from medpeft_core.datasets.label_rows import encode_classes, keep_agreeing_rows
from medpeft_core.datasets.label_tables import parse_numbers, read_columns
from medpeft_core.datasets.people import parse_ages, parse_sexes
from medpeft_core.errors import DataError

CLASSES = {
    "akiec": "Actinic keratosis",
    "bcc": "Basal cell carcinoma",
    "bkl": "Benign keratosis",
    "df": "Dermatofibroma",
    "mel": "Melanoma",
    "nv": "Melanocytic nevus",
    "vasc": "Vascular lesion",
}
MALIGNANT = ("Actinic keratosis", "Basal cell carcinoma", "Melanoma")
METADATA_FILES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
_TEST_NAME = "ISIC2018_Task3_Test_GroundTruth"
TEST_FILES = (
    f"{_TEST_NAME}.csv", f"{_TEST_NAME}.tab", _TEST_NAME, f"{_TEST_NAME}/{_TEST_NAME}.csv",
    f"{_TEST_NAME}/{_TEST_NAME}.tab",
)  # fmt: skip
_COLUMNS = ("lesion_id", "image_id", "dx", "age", "sex")


def read_metadata(path: Path, notes: list[str]) -> pd.DataFrame:
    """HAM10000_metadata, with commas as on Kaggle or tabs as on Dataverse.

    Returns:
        `name` (image without ending), `patient_id` (the lesion), `age`, `sex`, `site` (source of the image: clinic and
        camera; in the tables that have it), and one float column a class.

    Raises:
        DataError: a column is missing, a diagnosis is unknown, a lesion is not named, or rows of an image disagree.
    """
    raw = read_columns(path, _COLUMNS, optional=("dataset",), delimiter=_find_delimiter(path))
    raw = keep_agreeing_rows(path, raw[raw["image_id"] != ""], "image_id", ("dx", "lesion_id"), notes)
    nameless = raw.index[(raw["lesion_id"] == "").to_numpy()].tolist()
    if nameless:
        raise DataError(f"Line {nameless[0]} of {path} names no lesion (lesion_id). Get the original file.")
    table = pd.DataFrame({"name": raw["image_id"], "patient_id": raw["lesion_id"]})
    table["age"], table["sex"] = parse_ages(raw["age"]), parse_sexes(raw["sex"])
    if "dataset" in raw:
        table["site"] = raw["dataset"].where(raw["dataset"] != "", None)
    return table.join(encode_classes(path, raw["dx"], CLASSES, column="dx")).reset_index(drop=True)


def read_test_labels(path: Path, notes: list[str]) -> pd.DataFrame:
    """The labels of ISIC 2018's test images: in the form of the metadata (Dataverse), or a column a class (ISIC).

    Returns:
        As `read_metadata`; where lesions are not told, each image is one, and ages and sexes are missing.

    Raises:
        DataError: as `read_metadata`, or a row does not have exactly one class.
    """
    delimiter = _find_delimiter(path)
    codes = tuple(code.upper() for code in CLASSES)
    if "lesion_id" in _read_header(path):
        return read_metadata(path, notes)
    raw = read_columns(path, ("image", *codes), delimiter=delimiter)
    raw = keep_agreeing_rows(path, raw[raw["image"] != ""], "image", codes, notes)
    targets = parse_numbers(path, raw, codes, allowed=(0, 1))
    wrong = targets.index[(targets.sum(axis=1) != 1).to_numpy()].tolist()
    if wrong:
        raise DataError(f"Line {wrong[0]} of {path} must have a 1 for one of {', '.join(codes)}, and 0 for the others.")
    targets.columns = list(CLASSES.values())
    table = pd.DataFrame({"name": raw["image"], "patient_id": raw["image"]})
    notes.append(f"{path.name} names no lesions; each test image counts as one.")
    return table.join(targets).reset_index(drop=True)


def _find_delimiter(path: Path) -> str:
    return "\t" if "\t" in _read_header(path) else ","


def _read_header(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline()
