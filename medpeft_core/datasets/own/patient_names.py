"""Names of columns that hold patients, as hospitals, studies and published sets call them. Light."""

import re

from medpeft_core.datasets.own.column_facts import ColumnFacts

_BEFORE = r"(anon|anonym|anonymi[sz]ed|deid|deidentified|pseudo|hashed|encrypted|study|research|internal|unique|the)*"
_WHOLE = (
    r"patients?|patienten|subjects?|persons?|participants?|proband(en)?|pseudonym|mrn|pid|ptid|empi|eid|patid|patnr"
)
_CASES = r"cases?|lesions?|fall|fälle"  # a patient may have several, so a column of patients comes first
_SHORT = r"pat|pt|subj|individual"  # a word of this kind alone may be anything
_AFTER = (
    r"(ids?|no|nr|num|number|nbr|name|key|identifier|identifikation|kennung|code|idx|index|uid|hash|hashed|anon|anonym|"
    r"anonymi[sz]ed|deid|deidentified|pseudonym|nummer|schlüssel|kürzel|mrn)"
)
_NAMED = re.compile(rf"{_BEFORE}({_WHOLE}|{_CASES})")
_NUMBERED = re.compile(rf"{_BEFORE}(({_WHOLE}|{_CASES}|{_SHORT}){_AFTER}+|mrn|pid|ptid|empi|eid|patid|patnr)")
_CASE = re.compile(rf"{_BEFORE}({_CASES}){_AFTER}*")
_DOUBTFUL = re.compile(
    r".*(^|\b)(ids?|no|nr|num|number|nummer|name|key|code|hash|identifier|study|exam|accession|series|encounter|visit|"
    r"admission|record|patients?|patienten|subjects?|participants?)\b.*|.*(id|nr|nummer|hash)"
)
DOUBTFUL = "The patients may be in the column "


def is_patient_column(facts: ColumnFacts) -> bool:
    """Whether a column holds patients by its name: "PatientID", "Pat-ID", "anon_patient_id", "Fallnummer"; a bare
    word such as "case" only with values that are no yes and no."""
    name = facts.words.replace(" ", "")
    if _NUMBERED.fullmatch(name):
        return True
    few = 10 if _CASE.fullmatch(name) else 2  # "case", "control" and "healthy" are classes
    is_name = len(facts.counts) > few or all(re.search(r"\d", text) for text in facts.values)
    return bool(_NAMED.fullmatch(name)) and not facts.is_flags and is_name


def rank_patient_column(facts: ColumnFacts) -> tuple[bool, bool]:
    """The best of several columns comes first: patients before lesions and cases, and names that repeat, which hold
    images of one patient together, before numbers that every row has of its own."""
    is_case = _CASE.fullmatch(facts.words.replace(" ", ""))
    return bool(is_case), len(facts.counts) == facts.num_filled


def may_be_patient(facts: ColumnFacts) -> bool:
    """Whether a column could hold patients, which only a person can tell: an id whose values repeat."""
    counts = facts.counts
    if facts.is_flags or not 2 < len(counts) < 0.95 * facts.num_filled or not _DOUBTFUL.fullmatch(facts.words):
        return False
    return max(counts.values()) <= 0.2 * facts.num_filled
