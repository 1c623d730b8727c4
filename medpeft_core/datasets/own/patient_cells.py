"""Patients out of the cells of a column, so that one patient has one name. Light."""

import re
from collections import defaultdict

import pandas as pd

from medpeft_core.datasets.own.cells import is_blank

_WHOLE = re.compile(r"(\d+)(?:[.,]0+)?")
_ROUNDED = re.compile(r"\d([.,]\d+)?[eE]\+?\d+")


def read_patients(texts: "pd.Series[str]", notes: list[str], *, column: str) -> pd.Series:
    """The patient of each row; None where the cell is blank.

    Numbers are compared as numbers, as spreadsheets write "7", "7.0" and "007" for one patient: two patients taken for
    one cost little, one taken for two lies in train and test.

    Args:
        texts: cells.
        notes: gets a sentence where numbers were written in several ways.
        column: its name, for the note.
    """
    names: dict[str, str | None] = {}
    spelled: dict[str, set[str]] = defaultdict(set)
    for text in texts.unique():
        found = _WHOLE.fullmatch(text)
        names[text] = None if is_blank(text) else found.group(1) if found else text
        if found:
            spelled[found.group(1).lstrip("0") or "0"].add(found.group(1))
    longest = {number: max(ways, key=len) for number, ways in spelled.items()}
    padded = sum(len(ways) > 1 for ways in spelled.values())
    if padded:
        names = {
            text: longest[name.lstrip("0") or "0"] if name is not None and _WHOLE.fullmatch(text) else name
            for text, name in names.items()
        }
        notes.append(
            f"{padded} patients of the column {column!r} are written with and without leading zeros; each number "
            "counts as one patient."
        )
    num_rounded = sum(bool(_ROUNDED.fullmatch(text)) for text in names)
    if num_rounded:
        notes.append(
            f"{num_rounded} patients of the column {column!r} are numbers such as 1.2E+15, which a spreadsheet has "
            "rounded: different patients may look the same. Take the column from its source as text."
        )
    found_names = texts.map(names).astype(object)
    return found_names.where(found_names.notna(), None)
