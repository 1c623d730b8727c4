"""What the values of one column of a table look like, counted once; what the column is for, `guessing.py` decides."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from medpeft_core.datasets.own.cells import (
    SEXES,
    SIDES,
    SPLIT_WORDS,
    fold_words,
    is_blank,
    natural_key,
    parse_flag,
    parse_number,
    parse_whole,
)

SEPARATORS = ("|", ";", ",")
MOSTLY = 0.9  # share of the rows that must fit; the others are told as mistakes by the reader
_MAX_FINDINGS = 300
_VIEWS = frozenset(
    {"pa", "ap", "lateral", "ll", "rl", "lat", "frontal", "pa ap", "ap pa", "oblique", "cc", "mlo", "ml"}
)
_DATE_PATTERN = r"\d{4}-\d{2}-\d{2}.*|\d{8}|\d{1,2}[./]\d{1,2}[./]\d{4}|\d{4}/\d{1,2}/\d{1,2}"
_EXAMPLES, _EXAMPLE_LENGTH = 3, 40


@dataclass(frozen=True)
class ColumnFacts:
    """One column: `counts` maps each distinct text that is not blank to its number of rows, in order of appearance."""

    name: str
    counts: dict[str, int]
    num_rows: int

    @classmethod
    def of(cls, column: "pd.Series[str]") -> "ColumnFacts":
        """Count the values of a text column."""
        counts = column.value_counts(sort=False)
        found = {text: int(count) for text, count in zip(counts.index, counts.to_numpy(), strict=True)}
        kept = {text: count for text, count in found.items() if not is_blank(text)}
        return cls(name=str(column.name), counts=kept, num_rows=len(column))

    @property
    def values(self) -> list[str]:
        return list(self.counts)

    @cached_property
    def num_filled(self) -> int:
        return sum(self.counts.values())

    @property
    def num_empty(self) -> int:
        return self.num_rows - self.num_filled

    @property
    def examples(self) -> tuple[str, ...]:
        """Up to three values, cut to forty characters."""
        return tuple(
            text if len(text) <= _EXAMPLE_LENGTH else f"{text[: _EXAMPLE_LENGTH - 1]}…"
            for text in self.values[:_EXAMPLES]
        )

    @cached_property
    def words(self) -> str:
        """The name as it is compared."""
        return fold_words(self.name)

    @cached_property
    def flag_share(self) -> float:
        """Share of the filled rows that say 0, 1, -1, yes, no and the like."""
        return self._share(lambda text: parse_flag(text) is not None)

    @cached_property
    def is_flags(self) -> bool:
        """Nearly all rows are 0, 1, -1 or blank, and at least one is 0 or 1; grades such as 0 to 4 are none."""
        if self.are_grades or self.flag_share < MOSTLY:
            return False
        known = {parse_flag(text) for text in self.values[:1000]}
        are_words = known == {1.0} and len(self.counts) > 1  # classes "x" and "y", not crosses and yes
        return not are_words and bool(known & {0.0, 1.0})

    @cached_property
    def are_grades(self) -> bool:
        """Whole numbers from 0 without gaps, beyond 1; a 2 that stands in one row only may be a slip."""
        numbers = self.whole_numbers or []
        is_row = len(numbers) > 2 and numbers == list(range(len(numbers)))
        return is_row and (len(numbers) > 3 or sum(n for text, n in self.counts.items() if parse_whole(text) == 2) > 1)

    @cached_property
    def number_share(self) -> float:
        return self._share(lambda text: parse_number(text) is not None)

    @cached_property
    def whole_numbers(self) -> list[int] | None:
        """The distinct values as whole numbers, sorted, where all are."""
        numbers = [parse_whole(text) for text in self.values]
        return None if not numbers or None in numbers else sorted({item for item in numbers if item is not None})

    @cached_property
    def sex_share(self) -> float:
        return self._share(lambda text: text.casefold() in SEXES)

    @cached_property
    def side_share(self) -> float:
        return self._share(lambda text: text.casefold() in SIDES)

    @cached_property
    def view_share(self) -> float:
        return self._share(lambda text: fold_words(text) in _VIEWS)

    @cached_property
    def split_share(self) -> float:
        return self._share(lambda text: fold_words(text) in SPLIT_WORDS)

    @cached_property
    def date_share(self) -> float:
        return (
            float(pd.Series(self.values[:500], dtype=str).str.fullmatch(_DATE_PATTERN).mean()) if self.counts else 0.0
        )

    @cached_property
    def separator(self) -> str:
        """What parts several findings in one cell; "" where a cell holds one."""
        if any(text.startswith("[") and text.endswith("]") for text in self.values):
            return ","
        for separator in SEPARATORS:
            joined = [text for text in self.values if separator in text]
            if not joined:
                continue
            parts = {part for text in self.values for part in split_findings(text, separator)}
            is_reused = len(parts) < len(self.values) if separator == "," else True
            if is_reused and len(parts) <= _MAX_FINDINGS and all(len(part) <= 60 for part in parts):
                return separator
        return ""

    def sorted_values(self) -> list[str]:
        """The distinct values, "grade 2" before "grade 10"."""
        return sorted(self.values, key=natural_key)

    def _share(self, is_fine: Callable[[str], bool]) -> float:
        if not self.num_filled:
            return 0.0
        return sum(count for text, count in self.counts.items() if is_fine(text)) / self.num_filled


def split_findings(text: str, separator: str) -> list[str]:
    """The findings in one cell, also where somebody wrote a Python list: "['a', 'b']"."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        return [part for item in text.split(separator) if (part := item.strip().strip("'\"").strip())]
    return [part for item in text.split(separator) if (part := item.strip())]
