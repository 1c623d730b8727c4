"""The table of Fitzpatrick17k: conditions, groups, skin types and addresses of 16,577 photographs of the skin."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.label_tables import read_columns
from medpeft_core.errors import DataError

TABLE_FILE = "fitzpatrick17k.csv"
THREE = ("benign", "malignant", "non-neoplastic")
NINE = (
    "benign dermal", "benign epidermal", "benign melanocyte", "genodermatoses", "inflammatory",
    "malignant cutaneous lymphoma", "malignant dermal", "malignant epidermal", "malignant melanoma",
)  # fmt: skip
LABEL_COLUMNS = {"three": "three_partition_label", "nine": "nine_partition_label", "all": "label"}
SKIN_COLUMNS = {"scale": "fitzpatrick_scale", "centaur": "fitzpatrick_centaur"}
WRONG = "3"  # beginning of the value of `qc` for "wrongly labelled"
MAX_LABELS = 200
_COLUMNS = ("md5hash", "fitzpatrick_scale", "label", "nine_partition_label", "three_partition_label")
_OPTIONAL = ("fitzpatrick_centaur", "qc", "url", "url_alphanum")
_HASH = re.compile(r"[0-9a-f]{32}")


def read_rows(path: Path) -> pd.DataFrame:
    """The rows as text, indexed by line number, with every official column; absent ones are empty.

    Raises:
        DataError: a column is missing, or `md5hash`, which names files, is none.
    """
    rows = read_columns(path, _COLUMNS, optional=_OPTIONAL)
    for name in _OPTIONAL:
        if name not in rows:
            rows[name] = ""
    rows["md5hash"] = rows["md5hash"].str.lower()
    odd = ~rows["md5hash"].str.fullmatch(_HASH)
    if odd.any():
        line = rows.index[odd][0]
        raise DataError(f"Line {line} of {path} has md5hash {rows['md5hash'][line]!r}. Get the original file.")
    return rows


def find_labels(path: Path, rows: pd.DataFrame, level: str) -> tuple[str, ...]:
    """The classes of a level, in a fixed order that does not depend on which images are on disk.

    Args:
        path: for messages.
        rows: as `read_rows` gives them.
        level: "three", "nine" or "all".

    Raises:
        DataError: a group that the data set does not have, or an empty condition.
    """
    found = rows[LABEL_COLUMNS[level]]
    known = {"three": THREE, "nine": NINE}.get(level)
    is_odd = (found == "") if known is None else ~found.isin(known)
    if is_odd.any():
        line = found.index[is_odd][0]
        wanted = f"one of {', '.join(known)}" if known else "the name of a condition"
        raise DataError(
            f"Line {line} of {path} has {LABEL_COLUMNS[level]} {found[line]!r}, but it must be {wanted}. Get the "
            "original file."
        )
    labels = known or tuple(sorted(found.unique()))
    if len(labels) > MAX_LABELS:
        raise DataError(f"{path} names {len(labels)} conditions instead of 114. Get the original file.")
    return labels


def drop_repeated(rows: pd.DataFrame, column: str, notes: list[str]) -> pd.DataFrame:
    """Each image once; those whose rows disagree on the label are left out, with a note."""
    counts = rows.groupby("md5hash")[column].nunique()
    disputed = rows["md5hash"].isin(counts.index[counts > 1])
    if disputed.any():
        notes.append(f"{int((counts > 1).sum())} images are listed with different labels; they were left out.")
    rows = rows[~disputed]
    repeated = rows["md5hash"].duplicated()
    if repeated.any():
        rows_list = "1 row lists" if repeated.sum() == 1 else f"{int(repeated.sum())} rows list"
        notes.append(f"{rows_list} an image a second time; each counts once.")
    return rows[~repeated]


def parse_skin_types(texts: pd.Series) -> pd.Series:
    """ "1" to "6" (Fitzpatrick); missing where it is -1, which stands for "not known", or anything else."""
    return texts.where(texts.isin([str(number) for number in range(1, 7)]), None).astype(object)


def one_hot(values: pd.Series, labels: tuple[str, ...]) -> pd.DataFrame:
    """One float column for each label, with 1 in the one that a row has."""
    codes = pd.Categorical(values, categories=list(labels)).codes
    return pd.DataFrame(np.eye(len(labels))[codes], columns=list(labels), index=values.index)
