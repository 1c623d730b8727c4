"""What a model says about uploads: a row per label for one image, a row per image for all, and the file to save."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from pages.widgets.class_probs import draw_class_table, find_likeliest
from pages.widgets.explain_probs import LABEL_WIDTH
from pages.widgets.prob_cells import draw_prob_table, explain_no_call, write_call, write_numbers
from pages.widgets.wording import DISCLAIMER, escape_markdown

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
PROB_PREFIX = "prob_"
MAX_COLUMNS = 40  # probabilities beside each other
SYNTHETIC_MODEL = "This model has learned from synthetic images only; on real ones its answers mean nothing."
WORDS = (
    "Call: yes from the threshold on that was chosen on the validation images. Base rate: how common the label is "
    "among the training images; a probability far above it says more than one near it."
)


def draw_probs(answer: Mapping[str, Any]) -> None:
    """The table for one image, the most probable label first."""
    if is_exclusive(answer):
        likeliest = find_likeliest(answer)
        prob = write_numbers(answer["probs"][likeliest], None)[0]
        st.markdown(f"● **{escape_markdown(likeliest)}** is likeliest ({prob}).")
        draw_class_table(answer["probs"], answer["prevalence"], None, key="predict_probs")
        return
    table = build_probs_table(answer)
    words = [write_numbers(item.prob, answer["thresholds"].get(item.label))[0] for item in table.itertuples()]
    config = st.column_config
    draw_prob_table(
        table,
        {"prob": words},
        key="predict_probs",
        column_config={
            "label": config.TextColumn("Label", width=LABEL_WIDTH),
            "prob": config.NumberColumn("Prob.", width=66, help="Probability, 0 to 1."),
            "call": config.TextColumn("Call", width=110, help="Yes from the threshold on."),
            "prevalence": config.NumberColumn(
                "Base rate", width=74, format="%.1f %%", help="Share of positive images in the training set."
            ),
        },
        alt="; ".join(
            f"{item.label}: probability {word}, call {item.call}"
            for item, word in zip(table.itertuples(), words, strict=True)
        ),
    )
    st.caption(f"{WORDS} {explain_no_call(answer['thresholds'])}")


def build_probs_table(answer: Mapping[str, Any]) -> pd.DataFrame:
    """Columns label, prob, call, prevalence (percent); most probable first."""
    rows = [
        {
            "label": label,
            "prob": prob,
            "call": write_call(prob, answer["thresholds"].get(label)),
            "prevalence": None if answer["prevalence"].get(label) is None else 100 * answer["prevalence"][label],
        }
        for label, prob in answer["probs"].items()
    ]
    table = pd.DataFrame(rows).astype({"prevalence": "float64"})
    return table.sort_values("prob", ascending=False, kind="stable", ignore_index=True)


def build_results_table(results: Sequence[tuple[str, Mapping[str, Any] | None, str]]) -> pd.DataFrame:
    """A row for each image: columns image, called, `prob_<label>` for each label, note.

    Of exclusive classes the likeliest is called, with its probability; there are columns for `MAX_COLUMNS` at most.

    Args:
        results: name, answer or None, and the problem where there is no answer.
    """
    rows = []
    for name, answer, problem in results:
        row: dict[str, Any] = {"image": name}
        if answer is None:
            rows.append({**row, "called": "", "note": problem})
            continue
        row["called"] = ", ".join(label for label in answer["probs"] if _is_called(answer, label)) or "none"
        if is_exclusive(answer):
            row["probability"] = answer["probs"][row["called"]]
        if len(answer["probs"]) <= MAX_COLUMNS:
            row |= {f"{PROB_PREFIX}{label}": prob for label, prob in answer["probs"].items()}
        row["note"] = " ".join(answer["warnings"])
        rows.append(row)
    table = pd.DataFrame(rows)
    return table[[name for name in table.columns if name != "note"] + ["note"]]


def write_csv(run_id: str, results: Sequence[tuple[str, Mapping[str, Any] | None, str]]) -> bytes:
    """All answers as a table to save: a line for each image and label."""
    rows = []
    for name, answer, problem in results:
        shared = {"run_id": run_id, "image": guard_formula(name)}
        if answer is None:
            rows.append({**shared, "note": problem, "notice": DISCLAIMER})
            continue
        note = " ".join([*([SYNTHETIC_MODEL] if answer["is_synthetic"] else []), *answer["warnings"]])
        for label, prob in answer["probs"].items():
            threshold = answer["thresholds"].get(label)
            call = "yes" if _is_called(answer, label) else "no" if threshold is not None or is_exclusive(answer) else ""
            rows.append(
                {
                    **shared,
                    "label": guard_formula(label),
                    "probability": prob,
                    "threshold": threshold,
                    "call": call,
                    "base_rate": answer["prevalence"].get(label),
                    "note": note,
                    "notice": DISCLAIMER,
                }
            )
    columns = ["run_id", "image", "label", "probability", "threshold", "call", "base_rate", "note", "notice"]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False).encode("utf-8-sig")


def guard_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def is_exclusive(answer: Mapping[str, Any]) -> bool:
    """Whether the labels are classes of which exactly one is true, so that the likeliest is the answer."""
    return bool(answer.get("task") == "multiclass")


def _is_called(answer: Mapping[str, Any], label: str) -> bool:
    if is_exclusive(answer):
        return label == find_likeliest(answer)
    threshold = answer["thresholds"].get(label)
    return threshold is not None and answer["probs"][label] >= threshold
