"""Which column of a table holds the dates of the images. Light."""

import re

from medpeft_core.datasets.own.column_facts import MOSTLY, ColumnFacts

_DATE = re.compile(r"date( of .*| dicom)?|.*(date|datum)( dicom)?")
_OTHER = re.compile(r".*(birth|dob|death|geb|todes|up).*")  # "update" and "follow up" as well


def is_date_column(facts: ColumnFacts) -> bool:
    """By its name, or by values that are written as nothing but dates are; no dates of birth or death."""
    if _OTHER.fullmatch(facts.words):
        return False
    if _DATE.fullmatch(facts.words):
        return facts.date_share >= 0.5
    return facts.date_share >= MOSTLY and not any(text.isdecimal() for text in facts.values)  # 20200301 may be a number


def rank_date_column(facts: ColumnFacts) -> tuple[bool, ...]:
    """A column that is called a date comes before those that only look like it."""
    return (not _DATE.fullmatch(facts.words),)
