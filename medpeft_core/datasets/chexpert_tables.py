"""The label tables of CheXpert as plain data frames, and where its tables and images lie in a folder."""

from pathlib import Path

import pandas as pd

from medpeft_core.datasets.label_tables import read_columns
from medpeft_core.datasets.people import parse_ages, parse_sexes, parse_views
from medpeft_core.datasets.study_files import list_study_files
from medpeft_core.datasets.uncertain import read_targets
from medpeft_core.errors import DataError

LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
# The folder itself or its parent; as Kaggle packs the small version, and as Stanford AIMI parts the large one.
_BASES = ("", "CheXpert-v1.0-small", "CheXpert-v1.0", "CheXpert-v1.0 batch 1 (validate & csv)")
_TRAIN_BATCHES = tuple(f"CheXpert-v1.0 batch {number + 1} (train {number})" for number in (1, 2, 3))
_TEST_BASES = (*_BASES, "CheXpert", "chexlocalize/CheXpert")  # the test set was released with CheXlocalize
_TEST_NAMES = ("test_labels.csv", "test.csv", "groundtruth.csv")
TRAIN_TABLES = tuple(f"{base}/train.csv".lstrip("/") for base in _BASES)
VALID_TABLES = tuple(f"{base}/valid.csv".lstrip("/") for base in _BASES)
TEST_TABLES = tuple(f"{base}/{name}".lstrip("/") for name in _TEST_NAMES for base in _TEST_BASES)

_LEVELS = ("patient", "study")
_ENDINGS = (".jpg", ".jpeg", ".png")
_PERSON_COLUMNS = ("Sex", "Age", "AP/PA")
_PATH = r"^(?:[^/]+/)*?((?:train|valid|test)/(patient\d+)/study\d+/view\d+_(frontal|lateral)\.(?:jpg|jpeg|png))$"
_STUDY = r"^(?:[^/]+/)*?(test/(patient\d+)/study\d+)/?$"
_PATH_EXAMPLE = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
_STUDY_EXAMPLE = "CheXpert-v1.0/test/patient64741/study1"


def read_table(path: Path, labels: tuple[str, ...], policy: str) -> pd.DataFrame:
    """The rows of train.csv, valid.csv, test.csv or test_labels.csv; the last has neither ages nor sexes.

    Args:
        path: the table.
        labels: findings to read.
        policy: what is uncertain counts as, see `uncertain.py`.

    Returns:
        Columns `key` ("train/patient00001/study1/view1_frontal.jpg"), `patient_id`, `is_frontal`, `age`, `sex`, `view`
        and one float column a label.

    Raises:
        DataError: a column is missing, a path or a mark is odd, or the file is no table.
    """
    raw = read_columns(path, ("Path", *labels), optional=_PERSON_COLUMNS)
    table = parse_paths(path, raw["Path"])
    for name in _PERSON_COLUMNS:
        if name not in raw:
            raw[name] = ""
    table["age"], table["sex"] = parse_ages(raw["Age"]), parse_sexes(raw["Sex"])
    position = parse_views(raw["AP/PA"])
    table["view"] = position.where(table["is_frontal"] & position.isin(["AP", "PA"]), None)
    table.loc[~table["is_frontal"], "view"] = "LATERAL"
    return pd.concat([table, read_targets(path, raw, labels, policy)], axis=1).reset_index(drop=True)


def read_studies(path: Path, labels: tuple[str, ...], policy: str, files: dict[str, str]) -> pd.DataFrame:
    """The rows of groundtruth.csv, which names studies: one row for each image on disk of each study.

    Returns:
        As `read_table`.

    Raises:
        DataError: as `read_table`.
    """
    raw = read_columns(path, ("Study", *labels))
    studies = raw["Study"].str.replace("\\", "/").str.extract(_STUDY)
    _refuse_odd_paths(path, raw["Study"], studies[0], _STUDY_EXAMPLE)
    targets = read_targets(path, raw, labels, policy).assign(study=studies[0])
    images = pd.Series([name for name in files if name.startswith("test/")], dtype=str)
    table = parse_paths(path, images).assign(age=float("nan"), sex=None)
    table["view"] = pd.Series("LATERAL", index=table.index, dtype=object).where(~table["is_frontal"], None)
    table["study"] = table["key"].str.rpartition("/")[0]
    return table.merge(targets, on="study").drop(columns="study")


def parse_paths(path: Path, texts: pd.Series) -> pd.DataFrame:
    """Columns `key`, `patient_id` and `is_frontal` of paths as CheXpert writes them, indexed as `texts` by line.

    Raises:
        DataError: names the first line with another path.
    """
    parts = texts.str.replace("\\", "/").str.extract(_PATH)
    _refuse_odd_paths(path, texts, parts[0], _PATH_EXAMPLE)
    return pd.DataFrame({"key": parts[0], "patient_id": parts[1].astype(object), "is_frontal": parts[2] == "frontal"})


def find_folders(root: Path) -> dict[str, list[str]]:
    """Part ("train", "valid", "test") -> folders below `root` with its patients' folders, none where none is there."""
    candidates = {"train": _BASES, "valid": _BASES, "test": _TEST_BASES}
    found = {part: [f"{base}/{part}".lstrip("/") for base in bases] for part, bases in candidates.items()}
    folders = {part: [place for place in places if (root / place).is_dir()][:1] for part, places in found.items()}
    if not folders["train"]:
        folders["train"] = [batch for batch in _TRAIN_BATCHES if (root / batch).is_dir()]
    return folders


def scan_images(root: Path, folders: dict[str, list[str]]) -> dict[str, str]:
    """Key, as in `read_table` -> path of the image relative to `root`."""
    files: dict[str, str] = {}
    for part, places in folders.items():
        for place in places:
            for path in list_study_files(root, place, _LEVELS, _ENDINGS):
                files.setdefault(f"{part}/{path}", f"{place}/{path}")
    return files


def _refuse_odd_paths(path: Path, texts: pd.Series, parsed: pd.Series, example: str) -> None:
    is_odd = parsed.isna() | texts.str.contains("..", regex=False)
    if is_odd.any():
        line = texts.index[is_odd.to_numpy()].tolist()[0]
        raise DataError(
            f"Line {line} of {path} has the path {texts[line]!r}, but it must look like {example}. Get the original "
            "file."
        )
