"""Age, sex, view, side, site and date out of the columns of somebody's table, as a manifest writes them. Light."""

import pandas as pd

from medpeft_core.datasets.own.cells import SEXES, SIDES, is_blank, parse_number
from medpeft_core.datasets.own.proposal import Role
from medpeft_core.datasets.own.tables import list_lines
from medpeft_core.datasets.people import drop_odd_ages, parse_ages, parse_views

PEOPLE: tuple[Role, ...] = ("age", "sex", "view", "laterality", "site", "date")


def read_people(
    frame: pd.DataFrame, columns: dict[Role, str], notes: list[str], *, place: str = "line"
) -> pd.DataFrame:
    """The columns of `PEOPLE` that the table has.

    Args:
        frame: text, indexed by line.
        columns: role -> column; "" where there is none.
        notes: gets a sentence on values that mean nothing, with their lines: the values may tell who somebody is.
        place: what a line is called.
    """
    people = pd.DataFrame(index=frame.index)
    for role in PEOPLE:
        name = columns.get(role, "")
        if not name:
            continue
        texts = frame[name].where(~frame[name].map({text: is_blank(text) for text in frame[name].unique()}), "")
        values = _READERS[role](texts)
        if role == "age":
            values = drop_odd_ages(values, [])
        odd = frame.index[(texts != "") & values.isna()].tolist()
        if odd:
            notes.append(
                f"{len(odd)} rows hold no possible {role} in the column {name!r} ({list_lines(odd, place)}); it counts "
                "as not known."
            )
        people[role] = values
    return people


def _read_ages(texts: pd.Series) -> pd.Series:
    distinct = pd.Series(texts.unique(), dtype=object)
    plain = pd.Series([parse_number(text) for text in distinct], dtype=float)
    # digits of other scripts are no ages
    with_units = pd.Series([text if text.isascii() else "" for text in distinct], dtype=object)
    years = plain.where(plain.notna(), parse_ages(with_units))
    return texts.map(dict(zip(distinct, years, strict=True))).astype(float)


def _read_words(texts: pd.Series, words: dict[str, str]) -> pd.Series:
    found = texts.map({text: words.get(text.casefold()) for text in texts.unique()}).astype(object)
    return found.where(found.notna(), None)


def _read_texts(texts: pd.Series) -> pd.Series:
    return texts.where(texts != "", None).astype(object)


def _read_dates(texts: pd.Series) -> pd.Series:
    """ "2019-03-31", 20190331, 31.03.2019; 3/4/2019 only where other rows tell which of the two is the month."""
    distinct = pd.Series(texts.unique(), dtype=str)
    whole = distinct.str.extract(r"^(\d{4})[-/]?(\d{1,2})[-/]?(\d{1,2})(?:[T ].*)?$")
    parts = distinct.str.extract(r"^(\d{1,2})([./])(\d{1,2})[./](\d{4})$")
    first, second = pd.to_numeric(parts[0]), pd.to_numeric(parts[2])
    is_day_first = (parts[1] == ".") | bool((first > 12).any())
    if not (first > 12).any() and not (second > 12).any():
        parts.loc[parts[1] == "/", 3] = None  # nobody can tell
    year = whole[0].fillna(parts[3])
    month = whole[1].fillna(parts[2].where(is_day_first, parts[0]))
    day = whole[2].fillna(parts[0].where(is_day_first, parts[2]))
    text = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    dates = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce").dt.strftime("%Y-%m-%d")
    found = texts.map(dict(zip(distinct, dates, strict=True))).astype(object)
    return found.where(found.notna(), None)


_READERS = {
    "age": _read_ages, "sex": lambda texts: _read_words(texts, SEXES), "view": parse_views,
    "laterality": lambda texts: _read_words(texts, SIDES), "site": _read_texts, "date": _read_dates,
}  # fmt: skip
