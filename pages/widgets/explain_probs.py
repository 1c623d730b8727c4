"""What the model says about one image: a row per label with probability, call, truth and prevalence."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.disagreements import Pair
from medpeft_core.reports.predictions import Predictions
from medpeft_core.runs.run import Run
from pages.widgets.prob_cells import NO_CALL, draw_prob_table, explain_no_call, write_call, write_numbers

LABEL_WIDTH = 142  # pixels: "Pleural_Thickening" must not be cut
UNKNOWN = "? unknown"
TRUTH_COLOURS = {"● yes": "green", "○ no": "gray", "✕ yes": "red", "✕ no": "orange", UNKNOWN: "gray"}


def draw_probs(predictions: Predictions, row: int, run: Run) -> None:
    """The table for one image, the most probable label first."""
    table = build_probs_table(predictions, row, read_prevalence(run))
    words = [write_numbers(item.prob, predictions.thresholds[item.label])[0] for item in table.itertuples()]
    draw_prob_table(
        table,
        {"prob": words},
        key="explain_probs",
        column_config=_configure_columns(),
        alt="; ".join(
            f"{item.label}: probability {word}, call {item.call}, truth {item.truth}"
            for item, word in zip(table.itertuples(), words, strict=True)
        ),
    )
    st.caption(
        "Call: yes from the threshold on that was chosen on the validation images. ✕ marks what the call got wrong. "
        f"Base rate: how common the label is among the training images. {explain_no_call(predictions.thresholds)}"
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
    config = st.column_config
    words = {
        f"prob_{letter}": [
            NO_CALL if math.isnan(prob) else write_numbers(prob, predictions.thresholds.get(label))[0]
            for label, prob in zip(table["label"], table[f"prob_{letter}"], strict=True)
        ]
        for letter, predictions in zip("AB", (pair.first, pair.second), strict=True)
    }
    draw_prob_table(
        table,
        words,
        key="explain_pair_probs",
        column_config={
            "label": columns["label"],
            "truth": columns["truth"],
            "differs": config.TextColumn("Calls", help="Whether the two runs say the same."),
            **{
                f"prob_{letter}": config.NumberColumn(f"{letter}: probability", help=name)
                for letter, name in zip("AB", names, strict=True)
            },
            **{
                f"call_{letter}": config.TextColumn(f"{letter}: call", help=name)
                for letter, name in zip("AB", names, strict=True)
            },
        },
        alt="; ".join(
            f"{item.label}: truth {item.truth}, A {prob_a} {item.call_A}, B {prob_b} {item.call_B}, {item.differs}"
            for item, prob_a, prob_b in zip(table.itertuples(), words["prob_A"], words["prob_B"], strict=True)
        ),
    )
    missing = [
        f"{letter}: {text}"
        for letter, item in zip("AB", (pair.first, pair.second), strict=True)
        if (text := explain_no_call(item.thresholds))
    ]
    st.caption(
        "Call: yes from the threshold on that each run chose on the validation images. ✕ marks a wrong call. "
        + " ".join(missing)
    )


def build_pair_table(pair: Pair, row: int) -> pd.DataFrame:
    """Columns label, truth, prob_A, call_A, prob_B, call_B, differs; the labels on which the calls differ first."""
    partner = int(pair.partners[row])
    first, truths = pair.first.probs()[row], pair.first.targets()[row]  # (K,)
    second = pair.second.probs()[partner] if partner >= 0 else None
    lines = []
    for label, prob, target in zip(pair.first.labels, first, truths, strict=True):
        has_second = second is not None and label in pair.second.labels
        prob_b = float(second[pair.second.labels.index(label)]) if second is not None and has_second else math.nan
        limits = pair.first.thresholds[label], pair.second.thresholds.get(label) if has_second else None
        called = [
            None if limit is None else bool(value >= limit) for value, limit in zip((prob, prob_b), limits, strict=True)
        ]
        calls = [
            write_call(value, limit, is_wrong=_is_wrong(target, is_called))
            for value, limit, is_called in zip((prob, prob_b), limits, called, strict=True)
        ]
        lines.append(
            {
                "label": label,
                "truth": write_truth(target, None),
                "prob_A": prob,
                "call_A": calls[0],
                "prob_B": prob_b,
                "call_B": calls[1],
                "differs": NO_CALL if None in called else ("same" if called[0] == called[1] else "≠ differ"),
            }
        )
    table = pd.DataFrame(lines)
    table["order"] = table["differs"].eq("≠ differ") * 10 + table["prob_A"]
    return table.sort_values("order", ascending=False, kind="stable", ignore_index=True).drop(columns="order")


def _is_wrong(target: float, is_called: bool | None) -> bool:
    """False where it cannot be told."""
    return is_called is not None and not math.isnan(target) and is_called != bool(target)


def write_truth(target: float, is_called: bool | None) -> str:
    """What the data set says, marked when the call says something else.

    Args:
        target: 0, 1, or NaN where unknown.
        is_called: the model's yes or no, or None where it makes no call.
    """
    if math.isnan(target):
        return UNKNOWN
    word = "yes" if target else "no"
    if _is_wrong(target, is_called):
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
        "label": config.TextColumn("Label", width=LABEL_WIDTH),
        "prob": config.NumberColumn("Prob.", width=62, help="Probability, 0 to 1."),
        "call": config.TextColumn("Call", width=110, help="Yes from the threshold on."),
        "truth": config.MultiselectColumn(
            "Truth",
            width=64,
            options=list(TRUTH_COLOURS),
            color=list(TRUTH_COLOURS.values()),
            help="What the data set says.",
        ),
        "prevalence": config.NumberColumn(
            "Base rate", width=72, format="%.1f %%", help="Prevalence: share of positive images in the training set."
        ),
    }
