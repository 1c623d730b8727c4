"""What the model says about one image: a row per label with probability, call, truth and prevalence."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.disagreements import Pair
from medpeft_core.reports.predictions import Predictions
from medpeft_core.runs.run import Run

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
UNKNOWN = "? unknown"
TRUTH_COLOURS = {"● yes": "green", "○ no": "gray", "✕ yes": "red", "✕ no": "orange", UNKNOWN: "gray"}


def draw_probs(predictions: Predictions, row: int, run: Run) -> None:
    """The table for one image, the most probable label first."""
    table = build_probs_table(predictions, row, read_prevalence(run))
    st.dataframe(
        table,
        key="explain_probs",
        hide_index=True,
        lazy=False,
        placeholder="n/a",
        height=HEADER_HEIGHT + ROW_HEIGHT * len(table),
        row_height=ROW_HEIGHT,
        column_config=_configure_columns(),
        alt="; ".join(
            f"{item.label}: probability {item.prob:.2f}, call {item.call}, truth {item.truth}"
            for item in table.itertuples()
        ),
    )
    st.caption(
        "Call: yes from the threshold on that was chosen on the validation images. ✕ marks what the call got wrong. "
        "Base rate: how common the label is among the training images."
    )


def build_probs_table(predictions: Predictions, row: int, prevalence: dict[str, float | None]) -> pd.DataFrame:
    """Columns label, prob, call, truth (marked where the call is wrong), prevalence (percent); most probable first."""
    probs, targets = predictions.probs()[row], predictions.targets()[row]  # (K,)
    lines = []
    for label, prob, target in zip(predictions.labels, probs, targets, strict=True):
        threshold = predictions.thresholds[label]
        lines.append(
            {
                "label": label,
                "prob": prob,
                "call": write_call(prob, threshold),
                "truth": write_truth(target, None if threshold is None else prob >= threshold),
                "prevalence": None if prevalence.get(label) is None else 100 * prevalence[label],
            }
        )
    table = pd.DataFrame(lines).astype({"prevalence": "float64"})
    return table.sort_values("prob", ascending=False, kind="stable", ignore_index=True)


def draw_pair_probs(pair: Pair, row: int, names: tuple[str, ...]) -> None:
    """The table of two runs for one image; a run that lacks the image or a label has none."""
    table = build_pair_table(pair, row)
    columns = _configure_columns()
    numbers = {
        f"prob_{letter}": st.column_config.ProgressColumn(
            f"{letter}: probability", format="%.2f", min_value=0.0, max_value=1.0, help=name
        )
        for letter, name in zip("AB", names, strict=True)
    }
    calls = {
        f"call_{letter}": st.column_config.TextColumn(f"{letter}: call", help=name)
        for letter, name in zip("AB", names, strict=True)
    }
    st.dataframe(
        table,
        key="explain_pair_probs",
        hide_index=True,
        lazy=False,
        placeholder="n/a",
        height=HEADER_HEIGHT + ROW_HEIGHT * len(table),
        row_height=ROW_HEIGHT,
        column_config={
            "label": st.column_config.TextColumn("Label"),
            "truth": columns["truth"],
            "differs": st.column_config.TextColumn("Calls", help="Whether the two runs say the same."),
            **numbers,
            **calls,
        },
        alt="; ".join(
            f"{item.label}: truth {item.truth}, A {_write_prob(item.prob_A)} {item.call_A}, "
            f"B {_write_prob(item.prob_B)} {item.call_B}, {item.differs}"
            for item in table.itertuples()
        ),
    )
    st.caption("Call: yes from the threshold on that each run chose on the validation images.")


def build_pair_table(pair: Pair, row: int) -> pd.DataFrame:
    """Columns label, truth, prob_A, call_A, prob_B, call_B, differs; the labels on which the calls differ first."""
    partner = int(pair.partners[row])
    first, truths = pair.first.probs()[row], pair.first.targets()[row]  # (K,)
    second = pair.second.probs()[partner] if partner >= 0 else None
    lines = []
    for label, prob, target in zip(pair.first.labels, first, truths, strict=True):
        threshold, other = pair.first.thresholds[label], pair.second.thresholds.get(label)
        has_second = second is not None and label in pair.second.labels
        prob_b = float(second[pair.second.labels.index(label)]) if second is not None and has_second else math.nan
        call_a, call_b = write_call(prob, threshold), write_call(prob_b, other) if has_second else "n/a"
        is_known = "n/a" not in (call_a, call_b)
        lines.append(
            {
                "label": label,
                "truth": write_truth(target, None),
                "prob_A": prob,
                "call_A": call_a,
                "prob_B": prob_b,
                "call_B": call_b,
                "differs": ("same" if call_a[0] == call_b[0] else "≠ differ") if is_known else "n/a",
            }
        )
    table = pd.DataFrame(lines)
    table["order"] = table["differs"].eq("≠ differ") * 10 + table["prob_A"]
    return table.sort_values("order", ascending=False, kind="stable", ignore_index=True).drop(columns="order")


def _write_prob(prob: float) -> str:
    return "n/a" if math.isnan(prob) else f"{prob:.2f}"


def write_call(prob: float, threshold: float | None) -> str:
    """The model's yes or no with its threshold: "● yes (≥ 0.21)"."""
    if threshold is None:
        return "n/a"
    shown = f"{threshold:.2f}" if threshold >= 0.01 else f"{threshold:.1g}"
    return f"● yes (≥ {shown})" if prob >= threshold else f"○ no (< {shown})"


def write_truth(target: float, is_called: bool | None) -> str:
    """What the data set says, marked when the call says something else.

    Args:
        target: 0, 1, or NaN where unknown.
        is_called: the model's yes or no, or None where it makes no call.
    """
    if math.isnan(target):
        return UNKNOWN
    word = "yes" if target else "no"
    if is_called is not None and is_called != bool(target):
        return f"✕ {word}"
    return f"● {word}" if target else f"○ {word}"


def read_prevalence(run: Run) -> dict[str, float | None]:
    """Label to the share of positives among the training images whose label is known."""
    shares: dict[str, float | None] = {}
    for label, counts in run.provenance().get("positives", {}).items():
        known = counts["num_positive"] + counts["num_negative"]
        shares[label] = counts["num_positive"] / known if known else None
    return shares


def _configure_columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "label": config.TextColumn("Label", width=98),
        "prob": config.ProgressColumn("Probability", width=84, format="%.2f", min_value=0.0, max_value=1.0),
        "call": config.TextColumn("Call", width=106, help="Yes from the threshold on."),
        "truth": config.MultiselectColumn(
            "Truth",
            width=72,
            options=list(TRUTH_COLOURS),
            color=list(TRUTH_COLOURS.values()),
            help="What the data set says.",
        ),
        "prevalence": config.NumberColumn(
            "Base rate", width=72, format="%.1f %%", help="Prevalence: share of positive images in the training set."
        ),
    }
