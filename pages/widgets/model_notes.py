"""What must be known of a model before its answers are read: the same words on Explain and on Predict."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.widgets.wording import SYNTHETIC, escape_markdown, name_labels, write_auroc

CHANCE = 0.5
NO_BETTER_THAN_CHANCE = (
    "On its own test images this model may rank no better than guessing: its interval reaches down to 0.5. Take a "
    "better run before you read anything into its answers."
)
NOT_CALIBRATED = (
    "The probabilities are not calibrated: 0.80 does not mean that 80 of 100 such patients have the finding."
)
LETTERS = "AB"


def write_mean_score(metrics: dict[str, Any]) -> str:
    """The test AUROC of a run with its interval, as a mean over the labels or classes."""
    return write_auroc(metrics.get("test_auroc"), metrics.get("test_auroc_low"), metrics.get("test_auroc_high"))


def write_label_score(metrics: dict[str, Any], label: str) -> str:
    """How well a run ranks test images for one label: "Nodule: test AUROC 0.505 (0.446 to 0.564), no better ..."."""
    found = (metrics.get("test") or {}).get("per_class", {}).get(label) or {}
    low, high = found.get("low"), found.get("high")
    text = f"{escape_markdown(label)}: test AUROC {write_auroc(found.get('auroc'), low, high)}"
    if found.get("auroc") is None:
        return f"{text}, {found.get('reason') or 'not measured'}"
    if high is not None and high < CHANCE:
        return f"{text}, **worse than guessing**"
    return f"{text}, **no better than guessing**" if low is not None and low <= CHANCE else text


def draw_label_scores(metrics: Sequence[dict[str, Any]], label: str) -> None:
    """How good each of one or two runs is for the label that is explained, beside its mean over the labels."""
    lines = [
        f"{write_label_score(item, label)} · mean over the {name_labels(item.get('task'))} {write_mean_score(item)}"
        + write_accuracy(item)
        for item in metrics
    ]
    st.caption("  \n".join(mark_by_run(lines)))


def write_accuracy(metrics: dict[str, Any]) -> str:
    """ " · accuracy 0.812 (0.780 to 0.840)" for a run on exclusive classes, else empty."""
    test = metrics.get("test") or {}
    if test.get("accuracy") is None:
        return ""
    return f" · accuracy {write_auroc(test['accuracy'], test.get('accuracy_low'), test.get('accuracy_high'))}"


def draw_chance_warning(metrics: Sequence[dict[str, Any]]) -> None:
    """Warn of runs whose mean may be no better than guessing."""
    lows = [item.get("test_auroc_low") for item in metrics]
    which = [letter for letter, low in zip(LETTERS, lows, strict=False) if low is not None and low <= CHANCE]
    if which:
        letter = f"{' and '.join(which)}: " if len(metrics) > 1 else ""
        st.warning(f"{letter}{NO_BETTER_THAN_CHANCE}", icon=":material/casino:")


def mark_by_run(texts: Sequence[str]) -> list[str]:
    """The texts, with the letters of the runs before them where there are two."""
    if len(texts) < 2:
        return list(texts)
    return [f"**{letter}** · {text}" for letter, text in zip(LETTERS, texts, strict=True)]


def say_of_which(text: str, are_true: Sequence[bool]) -> list[str]:
    """A sentence that is true of some of the runs, with the letter of the run where it is not true of all."""
    if all(are_true):
        return [text]
    return [
        f"{letter}: {text[0].lower()}{text[1:]}" for letter, is_true in zip(LETTERS, are_true, strict=False) if is_true
    ]


def note_synthetic(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """That images are synthetic, and those of which run."""
    return say_of_which(SYNTHETIC, [bool(item.get("is_synthetic")) for item in metrics])
