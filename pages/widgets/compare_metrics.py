"""The figures of several runs on test: macro and per label, with intervals, or why there are none."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.metrics.spec import METRICS
from pages.widgets.compare_runs import ComparedRun
from pages.widgets.wording import write_auroc

MACRO = "Mean over labels"
SHOWN_METRICS = ("auroc", "auprc")
INTERVAL_KEYS = {"auroc": ("low", "high"), "auprc": ("auprc_low", "auprc_high")}
MACRO_KEYS = {"auroc": ("auroc_low", "auroc_high"), "auprc": ("auprc_low", "auprc_high")}
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels


def draw_metrics(runs: Sequence[ComparedRun]) -> None:
    """The table by label, its explanation and its download; for runs that have test figures."""
    metric = st.segmented_control(
        "Figure",
        SHOWN_METRICS,
        format_func=lambda name: METRICS[name].title,
        key="compare_metric",
        required=True,
        default=SHOWN_METRICS[0],
        label_visibility="collapsed",
    )
    frame = build_metric_frame(runs, metric)
    st.dataframe(
        frame,
        key="compare_metrics",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * len(frame),
        column_config={
            "Label": st.column_config.TextColumn(pinned=True, width=150),
            **{item.name: st.column_config.TextColumn(width=240, help=item.run.run_id) for item in runs},
        },
        alt=f"{METRICS[metric].title} of {len(runs)} runs on test, by label, with intervals.",
    )
    left, right = st.columns([4, 1], vertical_alignment="top")
    left.caption(f"{METRICS[metric].explanation} {_describe_intervals(runs)}")
    right.download_button(
        "CSV",
        data=lambda: build_metric_rows(runs).to_csv(index=False).encode(),
        file_name="comparison.csv",
        mime="text/csv",
        key="compare_csv",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
        help="Every figure of this comparison, a row each.",
    )


def build_metric_frame(runs: Sequence[ComparedRun], metric: str) -> pd.DataFrame:
    """A row per label after the mean, a column per run: "0.861 (0.842 to 0.880)", or n/a with its reason.

    Args:
        runs: with test figures.
        metric: one of `SHOWN_METRICS`.
    """
    rows = build_metric_rows(runs)
    rows = rows[rows["metric"] == metric]
    labels = list(dict.fromkeys(rows["label"]))
    columns: dict[str, list[str]] = {"Label": labels}
    for item in runs:
        own = rows[rows["run_id"] == item.run.run_id].set_index("label")
        columns[item.name] = [_write_cell(own.loc[label]) if label in own.index else "not a label" for label in labels]
    return pd.DataFrame(columns)


def build_metric_rows(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """The same figures as a long table, for other programs: a row for each run, metric and label."""
    rows = []
    for item in runs:
        test: dict[str, Any] = item.test or {}
        head = {"run_id": item.run.run_id, "name": item.name, "split": "test", "confidence": test["confidence"]}
        for metric in SHOWN_METRICS:
            rows.append({**head, **_read_macro(test["macro"], metric)})
            rows += [{**head, **_read_label(label, values, metric)} for label, values in test["per_class"].items()]
    return pd.DataFrame(rows)


def _read_macro(macro: dict[str, Any], metric: str) -> dict[str, Any]:
    low, high = (macro.get(key) for key in MACRO_KEYS[metric])
    reason = None if macro[metric] is not None else "no label has images of both classes"
    return {"metric": metric, "label": MACRO, "value": macro[metric], "low": low, "high": high, "reason": reason}


def _read_label(label: str, values: dict[str, Any], metric: str) -> dict[str, Any]:
    low, high = (values.get(key) for key in INTERVAL_KEYS[metric])
    counts = {name: values[name] for name in ("num_positive", "num_negative", "num_unknown")}
    return {
        "metric": metric,
        "label": label,
        "value": values[metric],
        "low": low,
        "high": high,
        "reason": values["reason"],
        **counts,
    }


def _write_cell(row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return f"n/a: {row['reason']}"
    low, high = (None if pd.isna(row[name]) else row[name] for name in ("low", "high"))
    return write_auroc(row["value"], low, high)


def _describe_intervals(runs: Sequence[ComparedRun]) -> str:
    """How the intervals were made, and what they do not tell."""
    tests = [item.test for item in runs if item.test]
    levels = sorted({f"{100 * test['confidence']:g} %" for test in tests})
    samples = sorted({f"{test['bootstrap_samples']:,}" for test in tests})
    text = f"In brackets: {' or '.join(levels)} interval ({tests[0]['interval']}, {' or '.join(samples)} samples)."
    if len(tests) == 1:
        return text
    return (
        f"{text} Whether intervals overlap is no test of whether runs differ: on the same images they rise and fall "
        "together."
    )
