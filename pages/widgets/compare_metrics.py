"""The figures of several runs on test: macro and per label, with intervals, or why there are none."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.support import Support, describe_resamplings, describe_shortage, describe_thin
from medpeft_core.reports.tables import (
    POSITIVE_IMAGES,
    POSITIVE_PATIENTS,
    TABLE_METRICS,
    build_metric_rows,
    build_support_columns,
    list_resamplings,
    write_figure,
)
from pages.widgets.compare_runs import ComparedRun
from pages.widgets.compare_support import read_shared_support
from pages.widgets.rare_labels import draw_cautions

ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 16
NOT_A_LABEL = "not a label"


def draw_metrics(runs: Sequence[ComparedRun]) -> None:
    """The table by label, its explanation, and which labels have too few positives; for runs with test figures.

    Raises:
        RunError: the predictions of a run are missing or damaged.
    """
    metric = st.segmented_control(
        "Figure",
        TABLE_METRICS,
        format_func=lambda name: METRICS[name].title,
        key="compare_metric",
        required=True,
        default=TABLE_METRICS[0],
        label_visibility="collapsed",
    )
    support = read_shared_support(runs)
    frame = build_metric_frame(runs, metric, support)
    st.dataframe(
        frame,
        key="compare_metrics",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), MAX_ROWS),
        column_config={
            "Label": st.column_config.TextColumn(pinned=True, width=150),
            POSITIVE_IMAGES: st.column_config.TextColumn(width=105, help="Test images with the label."),
            POSITIVE_PATIENTS: st.column_config.TextColumn(width=115, help="Patients of these images."),
            **{
                item.name: st.column_config.TextColumn(width=_pick_width(frame[item.name]), help=item.run.run_id)
                for item in runs
            },
        },
        alt=f"{METRICS[metric].title} of {len(runs)} runs on test, by label, with intervals.",
    )
    samples = list_resamplings(_build_rows(runs))
    st.caption(f"{METRICS[metric].explanation} {_describe_intervals(runs, samples)}")
    cautions = [text for text in (describe_thin(support or {}), describe_shortage(samples, {})) if text]
    draw_cautions(cautions)


def build_metric_frame(
    runs: Sequence[ComparedRun], metric: str, support: dict[str, Support] | None = None
) -> pd.DataFrame:
    """A row per label after the mean, a column per run: "0.861 (0.842 to 0.880)", or n/a with its reason.

    Args:
        runs: with test figures.
        metric: one of `TABLE_METRICS`.
        support: label to its positives, where the runs share their test images.
    """
    rows = _build_rows(runs)
    rows = rows[rows["metric"] == metric]
    labels = list(dict.fromkeys(rows["label"]))
    columns: dict[str, list[str]] = {"Label": labels, **build_support_columns(labels, support or {})}
    for item in runs:
        own = rows[rows["run_id"] == item.run.run_id].set_index("label")
        columns[item.name] = [_write_cell(own.loc[label]) if label in own.index else NOT_A_LABEL for label in labels]
    return pd.DataFrame(columns)


def _pick_width(cells: pd.Series) -> int:
    """Pixels: enough for figures, with which three runs fit a laptop, and for reasons where there are any."""
    return 240 if cells.str.startswith("n/a").any() else 190


def _build_rows(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    return build_metric_rows([(item.run.run_id, item.name, item.metrics or {}) for item in runs])


def _write_cell(row: pd.Series) -> str:
    return f"n/a: {row['reason']}" if pd.isna(row["value"]) else write_figure(row.to_dict())


def _describe_intervals(runs: Sequence[ComparedRun], samples: list[tuple[int, int]]) -> str:
    """How the intervals were made, and what they do not tell."""
    tests = [item.test for item in runs if item.test]
    levels = sorted({f"{100 * test['confidence']:g} %" for test in tests})
    text = f"In brackets: {' or '.join(levels)} interval ({tests[0]['interval']}): {describe_resamplings(samples)}."
    if any(valid < drawn for drawn, valid in samples):
        text += " That is for the mean; the interval of a label is made of those in which it had both classes itself."
    if len(tests) == 1:
        return text
    return (
        f"{text} Whether intervals overlap is no test of whether runs differ: on the same images they rise and fall "
        "together. *Differences* has the test."
    )
