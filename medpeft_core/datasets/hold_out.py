"""Which images a hold-out tests: those of some sites, views or other values of a column, or before or after a date."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.report_words import join
from medpeft_core.datasets.splits import IN_PLACE, split_by_patient
from medpeft_core.errors import DataError

VAL_FRACTIONS = (7 / 8, 1 / 8, 0.0)  # of what is not tested
SHOWN_VALUES = 8
EXAMPLES = "Write for example site=NAME, site=A|B, view=AP or date>=2019-01-01."
_RULE = re.compile(r"\s*(?P<column>[^<>=!|]+?)\s*(?P<sign>>=|<=|=|>|<)\s*(?P<value>.+?)\s*")
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_DATE_FORM = "Write the date as 2019-03-31, 2019-03 or 2019."
_IDS = ("image", "patient_id")  # of the manifest; a rule is kept with every run, and names of patients are kept nowhere
_NO_SIDE = (*_IDS, "split", "boxes", "mask")
_FEW_IMAGES = 5  # of a value, on average: then the values may be those of patients


@dataclass(frozen=True)
class HoldOutRule:
    """A `data.hold_out` taken apart: `column`, `sign` (=, <, <=, > or >=) and `value`."""

    column: str
    sign: str
    value: str


def read_rule(text: str) -> HoldOutRule:
    """A rule such as site=A|B or date>=2019-01-01.

    Raises:
        DataError: it is empty or no such rule.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        what = f"data.hold_out is {text!r}, which is no rule" if text.strip() else "data.hold_out is empty"
        raise DataError(f"{what}, but data.split=hold_out needs one. {EXAMPLES}")
    return HoldOutRule(**match.groupdict())


def hold_out(manifest: Manifest, rule: HoldOutRule, *, seed: int) -> Manifest:
    """The images of a rule as test, and of the others an eighth as val, by patient.

    A patient may have images on both sides. The held-out ones are tested, and the others are left out: in train they
    would show the model patients that it is tested on, in test they would be none of those that are asked about. Images
    without a value are left out too, since nobody knows their side. Notes count both.

    Raises:
        DataError: the manifest has no such column or value, or nothing or everything would be held out.
    """
    values = _find_column(manifest, rule.column)
    is_known = values.notna().to_numpy()
    is_held = np.zeros(len(manifest), dtype=bool)
    is_held[is_known] = _match(values[is_known], rule)
    _check_sides(manifest, values[is_known], is_held, is_known, rule)
    patients = manifest.patient_ids
    is_shared = is_known & ~is_held & np.isin(patients, np.unique(patients[is_held]))
    rest = is_known & ~is_held & ~is_shared
    if not rest.any():
        raise DataError(
            f"Every patient of {manifest.dataset} has an image with {write_rule(rule)}, so none is left for train and "
            "val. Hold out fewer values, or by another column."
        )
    table = manifest.table.copy()
    table["split"] = "test"
    table.loc[rest, "split"] = split_by_patient(patients[rest], seed=seed, fractions=VAL_FRACTIONS)
    notes = [
        f"Test: the {int(is_held.sum())} images with {write_rule(rule)} (data.split=hold_out); val is an eighth of the "
        f"others by {'patient' if manifest.has_patients else 'image'}, seed {seed}, {IN_PLACE}."
    ]
    if is_shared.any():
        notes.append(
            f"{len(np.unique(patients[is_shared]))} patients have images with {write_rule(rule)} and others: the "
            f"{int(is_shared.sum())} others were left out, so that no patient is learned from and tested."
        )
    if not is_known.all():
        notes.append(f"{int((~is_known).sum())} images without a {rule.column} were left out: they have no known side.")
    for note in notes:
        manifest = manifest.with_table(manifest.table, note=note)
    return manifest.with_table(table[is_held | rest])


def write_rule(rule: HoldOutRule) -> str:
    """The rule as it was typed, without spaces."""
    return f"{rule.column}{rule.sign}{rule.value}"


def list_columns(manifest: Manifest) -> list[str]:
    """The columns that images can be held out by, those with a value somewhere."""
    table = manifest.table
    named = [name for name in table.columns if name not in (*_NO_SIDE, *manifest.labels)]
    return [name for name in named if table[name].notna().any()]


def _find_column(manifest: Manifest, column: str) -> pd.Series:
    columns = list_columns(manifest)
    if column not in columns:
        there = f"It has {join(columns)}." if columns else "It has none that images could be held out by."
        if column in _IDS:
            raise DataError(
                f"The images of {manifest.dataset} cannot be held out by {column} (data.hold_out): the rule is kept "
                f"with every run, and ids are not to be. {there} To test on other patients, take data.split=patient or "
                "folds."
            )
        raise DataError(f"The images of {manifest.dataset} have no {column!r} (data.hold_out). {there} {EXAMPLES}")
    return manifest.table[column]


def _match(values: pd.Series, rule: HoldOutRule) -> np.ndarray:
    """Which of the values, none of them missing, a rule names."""
    if rule.sign != "=":
        return np.asarray(_SIGNS[rule.sign](*_compare(values, rule)))
    is_number = pd.api.types.is_numeric_dtype(values)
    parts = [part.strip() for part in rule.value.split("|")]
    found: dict[str, np.ndarray] = {}
    for part in [_write_number(part) for part in parts] if is_number else parts:
        texts = _cut_dates(values, part) if rule.column == "date" else _write_values(values)
        found[part] = (texts == part).to_numpy()
    lacking = [part for part, is_match in found.items() if not is_match.any()]
    if lacking:
        raise DataError(
            f"No image has {rule.column}={'|'.join(lacking)} (data.hold_out). {_list_values(values, rule.column)}"
        )
    return np.logical_or.reduce(list(found.values()))


def _list_values(values: pd.Series, column: str) -> str:
    """A sentence on the most frequent values, of dates their years; on their number where they may name patients."""
    if _may_name_patients(values, column):
        return f"Its {values.nunique()} values are not listed, since few images share one."
    texts = values.str[:4] if column == "date" else _write_values(values)
    common = texts.value_counts().head(SHOWN_VALUES)
    shown = ", ".join(f"{value} ({count} images)" for value, count in common.items())
    return f"The values of {column}: {shown}{', ...' if texts.nunique() > SHOWN_VALUES else ''}."


def _may_name_patients(values: pd.Series, column: str) -> bool:
    """Whether a column of texts has so many values that they could be names or numbers of people."""
    num_values = values.nunique()
    is_text = column != "date" and not pd.api.types.is_numeric_dtype(values)
    return is_text and num_values > SHOWN_VALUES and len(values) < _FEW_IMAGES * num_values


def _compare(values: pd.Series, rule: HoldOutRule) -> tuple[pd.Series, Any]:
    """Both sides of a comparison: numbers, or dates to the day, month or year that the rule names."""
    if rule.column == "date":
        return _cut_dates(values, rule.value), rule.value
    numbers = pd.to_numeric(values, errors="coerce")
    try:
        number = float(rule.value)
    except ValueError:
        number = float("nan")
    if numbers.isna().any() or np.isnan(number):
        raise DataError(
            f"data.hold_out is {write_rule(rule)}, but {rule.sign} compares numbers and dates only. Name the values of "
            f"{rule.column} as {rule.column}=A|B."
        )
    return numbers, number


def _write_values(values: pd.Series) -> pd.Series:
    """The values as text."""
    return values.map(lambda value: f"{value:g}") if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def _cut_dates(dates: pd.Series, like: str) -> pd.Series:
    """The dates as far as another one is written: of 2019-03-31 the year where that is 2019.

    Raises:
        DataError: the other one is no date.
    """
    if not _DATE.fullmatch(like):
        raise DataError(f"data.hold_out compares date with {like!r}. {_DATE_FORM}")
    return dates.astype(str).str[: len(like)]


def _write_number(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _check_sides(
    manifest: Manifest, values: pd.Series, is_held: np.ndarray, is_known: np.ndarray, rule: HoldOutRule
) -> None:
    num_held, num_known = int(is_held.sum()), int(is_known.sum())
    if 0 < num_held < num_known:
        return
    which = "No image" if num_held == 0 else f"Each of the {num_known} images"
    lowest, highest = values.min(), values.max()
    between = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
    told = "" if _may_name_patients(values, rule.column) else f" Its images have {rule.column} {between}."
    raise DataError(
        f"{which} of {manifest.dataset} has {write_rule(rule)} (data.hold_out), so nothing would be left to "
        f"{'test' if num_held == 0 else 'learn from'}.{told}"
    )
