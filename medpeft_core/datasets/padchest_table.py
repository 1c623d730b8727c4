"""The label table of PadChest as a plain data frame: findings of each film, its patient, date, age and projection."""

import re
from pathlib import Path

import pandas as pd

from medpeft_core.datasets.label_tables import parse_numbers, read_columns
from medpeft_core.datasets.people import parse_sexes
from medpeft_core.errors import DataError

TABLE_FILES = tuple(f"PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv{ending}" for ending in (".gz", ""))
# Files that are missing or cut off as the set is distributed; public readers of it leave them out by name too.
DAMAGED = frozenset(
    f"{name}.png"
    for name in (
        "216840111366964012283393834152009033102258826_00-059-087",
        "216840111366964012339356563862009072111404053_00-043-192",
        "216840111366964012373310883942009117084022290_00-064-025",
        "216840111366964012373310883942009152114636712_00-102-045",
        "216840111366964012373310883942009170084120009_00-097-074",
        "216840111366964012487858717522009280135853083_00-075-001",
        "216840111366964012558082906712009327122220177_00-102-064",
        "216840111366964012819207061112010281134410801_00-129-131",
        "216840111366964012819207061112010306085429121_04-020-102",
        "216840111366964012819207061112010307142602253_04-014-084",
        "216840111366964012819207061112010315104455352_04-024-184",
        "216840111366964012959786098432011033083840143_00-176-115",
        "216840111366964012989926673512011074122523403_00-163-058",
        "216840111366964012989926673512011083134050913_00-168-009",
        "216840111366964012989926673512011151082430686_00-157-045",
        "216840111366964013076187734852011291090445391_00-196-188",
        "216840111366964013590140476722013043111952381_02-065-198",
        "216840111366964013590140476722013058110301622_02-056-111",
        "216840111366964013686042548532013208193054515_02-026-007",
        "216840111366964013829543166512013353113303615_02-092-190",
        "216840111366964013962490064942014134093945580_01-178-104",
    )
)
_COLUMNS = ("ImageID", "StudyDate_DICOM", "PatientID", "PatientBirth", "PatientSex_DICOM", "Projection", "Labels")
# Projection -> view of the manifest; COSTAL (ribs) and what is not listed keep their own name.
_VIEWS = {"L": "LATERAL", "AP_horizontal": "AP SUPINE", "EXCLUDE": None, "": None}
_LABEL_LIST = re.compile(r"\[\s*(?:(?:'[^']*'|\"[^\"]*\")\s*,?\s*)*\]")
_LABEL = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def read_entries(path: Path) -> pd.DataFrame:
    """The rows of the table.

    Returns:
        Columns `name` (file name), `patient_id` (text), `age` (years at the study, also impossible ones), `sex`,
        `view`, `date` ("2014-09-01", missing where odd) and `findings` (frozenset of terms in lower case; missing
        where the table has none).

    Raises:
        DataError: a column is missing, a list of labels is none, or the file is no table.
    """
    raw = read_columns(path, _COLUMNS)
    raw = raw[raw["ImageID"] != ""]
    table = pd.DataFrame(
        {"name": raw["ImageID"], "patient_id": raw["PatientID"].where(raw["PatientID"] != "", None).astype(object)}
    )
    day = pd.to_datetime(raw["StudyDate_DICOM"].str.removesuffix(".0"), format="%Y%m%d", errors="coerce")
    table["date"] = day.dt.strftime("%Y-%m-%d").astype(object)
    born = parse_numbers(path, raw.assign(PatientBirth=raw["PatientBirth"].replace("None", "")), ("PatientBirth",))
    table["age"] = (day.dt.year - born["PatientBirth"]).astype(float)
    table["sex"] = parse_sexes(raw["PatientSex_DICOM"])
    table["view"] = raw["Projection"].map(lambda text: _VIEWS.get(text, text)).astype(object)
    table["findings"] = _parse_labels(path, raw["Labels"])
    return table.reset_index(drop=True)


def _parse_labels(path: Path, texts: pd.Series) -> pd.Series:
    """Each distinct list is parsed once, as text; nothing is evaluated."""
    found: dict[str, frozenset[str] | None] = {}
    for text in texts.unique():
        if text.lower() in ("", "nan"):
            found[text] = None
        elif _LABEL_LIST.fullmatch(text):
            words = (single or double for single, double in _LABEL.findall(text))
            found[text] = frozenset(word.strip().lower() for word in words) - {""} or None
        else:
            line = texts.index[(texts == text).to_numpy()].tolist()[0]
            raise DataError(
                f"Line {line} of {path} has the labels {text[:80]!r}, but they must be a list such as ['cardiomegaly', "
                "'pleural effusion']. Get the original file."
            )
    return texts.map(found).astype(object)
