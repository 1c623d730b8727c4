"""A finding of a data report, and the words that its sentences are joined with."""

from dataclasses import dataclass
from typing import Literal

MAX_NAMES = 14  # in a sentence: all labels of the largest set of chest radiographs
Severity = Literal["problem", "warning", "note", "fine"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found in a data set.

    Attributes:
        severity: "problem" (training is refused as it is), "warning" (results suffer), "note" (good to know) or "fine"
            (was checked, nothing is wrong).
        text: what was found, a sentence or two.
        advice: what to do, or "".
    """

    severity: Severity
    text: str
    advice: str = ""


def join(names: list[str], word: str = "and") -> str:
    """The names as one phrase: A; A and B; A, B and C; of many the first `MAX_NAMES`, and how many more."""
    if len(names) > MAX_NAMES + 1:
        return f"{', '.join(names[:MAX_NAMES])} {word} {len(names) - MAX_NAMES} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def enumerate_all(names: list[str]) -> str:
    """The names with commas; of many the first `MAX_NAMES`, and how many more."""
    more = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES + 1 else names[MAX_NAMES:]
    return ", ".join([*names[:MAX_NAMES], *more])


def has(names: list[str]) -> str:
    """The verb that goes with the names."""
    return "has" if len(names) == 1 else "have"


def its(names: list[str]) -> str:
    """The pronoun that goes with the names."""
    return "its" if len(names) == 1 else "their"
