"""How probabilities, thresholds and calls are written in tables, so that no two numbers beside each other disagree."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.widgets.wording import escape_markdown

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

NO_CALL = "n/a"
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
MIN_DIGITS, MAX_DIGITS = 2, 9
MAX_SMALL_DIGITS = 6  # of a probability below SMALLEST: more would not be read
SMALLEST = 0.001
TINT, MAX_TINT = "15, 140, 135", 0.4  # behind a probability, in both themes


def write_numbers(prob: float, threshold: float | None) -> tuple[str, str]:
    """A probability and its threshold with as many digits as it takes to see which is larger: ("0.128", "0.131")."""
    if threshold is None:
        return _write_small(prob, f"{prob:.{MIN_DIGITS}f}"), ""
    for digits in range(MIN_DIGITS, MAX_DIGITS + 1):
        shown, limit = f"{prob:.{digits}f}", f"{threshold:.{digits}f}"
        if shown != limit or prob == threshold:
            break
    if float(limit) == 0 < threshold:
        limit = f"{threshold:.{math.ceil(-math.log10(threshold))}f}"  # its first digit that is not 0
    if prob < SMALLEST and digits > MAX_SMALL_DIGITS:
        shown = "0"
    return _write_small(prob, shown), limit


def write_call(prob: float, threshold: float | None, *, is_wrong: bool = False) -> str:
    """The model's yes or no with its threshold: "● yes (≥ 0.21)", or "✕ yes (≥ 0.21)" where it is known to be wrong."""
    if threshold is None:
        return NO_CALL
    limit = write_numbers(prob, threshold)[1]
    word = f"yes (≥ {limit})" if prob >= threshold else f"no (< {limit})"
    return f"{'✕' if is_wrong else '●' if prob >= threshold else '○'} {word}"


def explain_no_call(thresholds: Mapping[str, float | None]) -> str:
    """Why some labels have no call; empty when all have one."""
    names = [escape_markdown(label) for label, limit in thresholds.items() if limit is None]
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"n/a: there is no call for {listed}. The validation images all had it or all lacked it, so no threshold could "
        "be chosen."
    )


def style_probs(table: pd.DataFrame, texts: Mapping[str, Iterable[str]]) -> "Styler":
    """The table with its probabilities in these words, on a tint that is the stronger the more probable they are.

    Args:
        table: holds a column of probabilities (0 to 1, or NaN) for each name in `texts`.
        texts: by column, what to show in each row.
    """
    styler = table.style
    for name, words in texts.items():
        styler = styler.map(_tint, subset=[name])
        for row, word in zip(table.index, words, strict=True):
            styler = styler.format(partial(_show, word), subset=([row], [name]))
    return styler


def draw_prob_table(table: pd.DataFrame, texts: Mapping[str, Iterable[str]], *, key: str, **options: Any) -> None:
    """A row for each label, all of them in sight; the options are those of `st.dataframe`.

    Args:
        table, texts: see `style_probs`.
        key: of the widget.
    """
    st.dataframe(
        style_probs(table, texts),
        key=key,
        hide_index=True,
        lazy=False,
        placeholder=NO_CALL,
        height=HEADER_HEIGHT + ROW_HEIGHT * len(table),
        row_height=ROW_HEIGHT,
        **options,
    )


def _show(word: str, _: float) -> str:
    return word


def _tint(prob: float) -> str:
    return "" if pd.isna(prob) else f"background-color: rgba({TINT}, {MAX_TINT * prob:.2f})"


def _write_small(prob: float, shown: str) -> str:
    if float(shown) > 0 or prob == 0:
        return shown
    return f"{prob:.3f}" if prob >= SMALLEST else f"< {SMALLEST}"
