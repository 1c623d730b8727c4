"""What the learner expects of LoRA and full fine-tuning at each number of labels, and how it compares with the result.

The choices last for the session. The answer opens once all are made, or when the learner asks to be shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from medpeft_core.figures.finding_differences import NO_INTERVAL, UNCLEAR, judge_difference
from medpeft_core.figures.finding_looks import MACRO, name_side, write_fraction
from medpeft_core.reports.sentences import write_signed
from pages.widgets.lesson_parts import draw_step

KEY = "lesson_labels"
SHOWN_KEY = f"{KEY}_shown"
FULL, LORA = "full", "lora"
EQUAL = "equal"
CHOICES = {LORA: "LoRA ahead", EQUAL: "About equal", FULL: "Full ahead"}

Fractions = Sequence[Mapping[str, Any]]


def draw_predictions(fractions: Fractions) -> dict[float, str]:
    """Step 2: three choices at each number of labels, and a way past them.

    Args:
        fractions: of the result: `fraction`, and `num_images` where it is known.

    Returns:
        Fraction to "lora", "equal" or "full"; those that are not chosen are left out.
    """
    draw_step(2, "What do you expect?")
    chosen = {}
    with st.container(border=True):
        st.markdown(
            "Whose test AUROC will be higher: LoRA, which trains a few per cent of the weights, or full fine-tuning, "
            "which trains all of them?"
        )
        for part in fractions:
            choice = st.segmented_control(
                f"With {write_part(part)}",
                list(CHOICES),
                format_func=CHOICES.__getitem__,
                key=f"{KEY}_expect_{part['fraction']:g}",
                persist_state="session",
            )
            if choice is not None:
                chosen[part["fraction"]] = choice
        if len(chosen) < len(fractions) and not st.session_state.get(SHOWN_KEY):
            st.caption("Choose in each line, and the answer opens below. Nobody else sees what you choose.")
            if st.button("Just show me", key=f"{KEY}_show", icon=":material/visibility:", type="tertiary"):
                st.session_state[SHOWN_KEY] = True
                st.rerun()
    return chosen


def is_open(chosen: Mapping[float, str], fractions: Fractions) -> bool:
    """Whether the answer may be shown."""
    return len(chosen) == len(fractions) or bool(st.session_state.get(SHOWN_KEY))


def draw_verdicts(chosen: Mapping[float, str], result: Mapping[str, Any]) -> None:
    """What was expected beside what the figures say; nothing for a learner who expected nothing."""
    verdicts = [
        write_verdict(part, chosen[part["fraction"]], find_difference(result, part["fraction"]))
        for part in result["fractions"]
        if part["fraction"] in chosen
    ]
    if verdicts:
        with st.container(border=True, key=f"{KEY}_verdicts"):
            st.markdown(":material/psychology: **What you expected, and what came out**")
            st.markdown("\n".join(f"- {text}" for text in verdicts))


def write_verdict(part: Mapping[str, Any], expected: str, difference: Mapping[str, Any] | None) -> str:
    """One line for one number of labels, without marks: an open question is no wrong answer; markdown.

    Args:
        part: one of the result's fractions.
        expected: one of `CHOICES`.
        difference: LoRA minus full over all findings there, or None while there is none.
    """
    head = f"**{write_part(part).capitalize()}:** you expected *{CHOICES[expected].lower().replace('lora', 'LoRA')}*."
    if difference is None:
        return f"{head} Not measured yet."
    says = judge_difference(dict(difference))
    if says == NO_INTERVAL:
        return f"{head} One seed says {write_signed(difference['mean'])}; an interval needs a second one."
    figures = f"LoRA minus full is {write_interval(difference)}"
    if says == UNCLEAR and expected == EQUAL:
        return (
            f"{head} It fits: {figures}, so these runs cannot tell them apart. That is less than equal: a difference "
            "of that size may still be there."
        )
    if says == UNCLEAR:
        return (
            f"{head} It stays open: {figures}, and 0 is within. These runs cannot tell the two apart, so you are "
            "neither right nor wrong."
        )
    if says == name_side(expected):
        return f"{head} So it came out: {figures}."
    return (
        f"{head} It came out as *{says.replace(' better', ' ahead')}*: {figures}. Many expect what you did; that is "
        "why it is worth measuring."
    )


def find_difference(result: Mapping[str, Any], fraction: float, label: str = MACRO) -> Mapping[str, Any] | None:
    """LoRA minus full at a fraction; None while it is not known."""
    return next(
        (
            row
            for row in result["differences"]
            if (row["first"], row["second"], row["fraction"], row["label"]) == (FULL, LORA, fraction, label)
            and row["mean"] is not None
        ),
        None,
    )


def write_interval(difference: Mapping[str, Any]) -> str:
    """Such as "+0.012 (−0.010 to +0.034)"."""
    if difference["low"] is None or difference["high"] is None:
        return write_signed(difference["mean"])
    low, high = write_signed(difference["low"]), write_signed(difference["high"])
    return f"{write_signed(difference['mean'])} ({low} to {high})"


def write_part(part: Mapping[str, Any]) -> str:
    """Such as "28 labelled images (1 %)"; without the count where that is not known yet."""
    share = write_fraction(part["fraction"])
    count = part.get("num_images")
    return f"{round(count):,} labelled images ({share})" if count else f"{share} of the labels"
