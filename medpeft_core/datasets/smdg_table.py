"""The table of SMDG-19: kinds of eyes, files, sources, and what is told of the patients."""

from pathlib import Path

import pandas as pd

from medpeft_core.datasets.label_rows import keep_agreeing_rows
from medpeft_core.datasets.label_tables import parse_numbers, read_columns
from medpeft_core.datasets.people import parse_ages, parse_sexes

LABEL = "Glaucoma"
SUSPECT = -1.0
TABLE_FILES = ("metadata - standardized.csv", "metadata-standardized.csv", "metadata.csv")
_OPTIONAL = ("fundus_od_seg", "fundus_oc_seg", "original_name", "patient_id", "sex", "gender", "age", "eye")
_SOURCE = r"^(.+)-\d+$"  # "OIA-ODIR-TRAIN-12" is the twelfth photograph of OIA-ODIR-TRAIN
# Both eyes of a patient have one number: "1322_left.jpg" in OIA-ODIR, "RET002OD.jpg" in PAPILA.
_PATIENTS = {"OIA-ODIR": r"^(\d+)_(?:left|right)\b", "PAPILA": r"^RET0*(\d+)O[DS]\b"}
_LATERALITIES = {"OD": "R", "OS": "L"}


def read_metadata(path: Path, notes: list[str]) -> pd.DataFrame:
    """metadata - standardized.csv.

    Returns:
        `file`, `disc` and `cup` (names of files without folders; missing where there is none), `Glaucoma` (0.0, 1.0, or
        `SUSPECT`), `site` (the data set that a photograph comes from), `patient_id` (missing where it is not told),
        `age`, `sex` and `laterality`.

    Raises:
        DataError: a column is missing, a type is none of -1, 0 and 1, or rows of a photograph disagree.
    """
    raw = read_columns(path, ("names", "types", "fundus"), optional=_OPTIONAL)
    raw = keep_agreeing_rows(path, raw[raw["fundus"] != ""], "fundus", ("types",), notes)
    types = parse_numbers(path, raw, ("types",), allowed=(SUSPECT, 0, 1))["types"]
    num_unknown = int(types.isna().sum())
    if num_unknown:
        notes.append(f"Photographs without a type in the table ({num_unknown}) were left out.")
        raw, types = raw[types.notna()], types.dropna()

    def get(column: str) -> pd.Series:
        return raw[column] if column in raw else pd.Series("", index=raw.index)

    table = pd.DataFrame({"file": _name_files(raw["fundus"]), LABEL: types})
    table["disc"], table["cup"] = _name_files(get("fundus_od_seg")), _name_files(get("fundus_oc_seg"))
    table["site"] = raw["names"].str.extract(_SOURCE)[0].astype(object)
    table["patient_id"] = _find_patients(table["site"], get("original_name"), get("patient_id"))
    table["age"] = parse_ages(get("age"))
    table["sex"] = parse_sexes(get("sex").where(get("sex") != "", get("gender")))
    table["laterality"] = get("eye").str.upper().map(_LATERALITIES).astype(object)
    return table.reset_index(drop=True)


def _find_patients(sites: pd.Series, originals: pd.Series, told: pd.Series) -> pd.Series:
    """Source and number of the patient: from the original names where these tell both eyes apart, else as told."""
    patients = (sites + "/" + told).where(told != "")
    for source, pattern in _PATIENTS.items():
        numbers = originals.str.extract(pattern)[0]
        patients = patients.mask(sites.str.startswith(source, na=False) & numbers.notna(), source + "/" + numbers)
    return patients.astype(object)


def _name_files(paths: pd.Series) -> pd.Series:
    """The last part of each path; the table writes "/full-fundus/BEH-1.png", and "Not Visible" for some masks."""
    names = paths.str.replace("\\", "/", regex=False).str.rpartition("/")[2]
    return names.where(names.str.contains(".", regex=False), None).astype(object)
