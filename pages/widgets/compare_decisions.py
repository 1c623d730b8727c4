"""Accuracy, F1s and kappa of the compared runs, where their classes exclude each other."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.decision_tables import build_decision_table, list_decision_metrics
from medpeft_core.reports.tables import build_metric_rows
from pages.widgets.compare_runs import ComparedRun

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels


def draw_decisions(runs: Sequence[ComparedRun]) -> None:
    """A row per run; nothing where no run is on exclusive classes.

    Args:
        runs: with test figures.
    """
    rows = build_metric_rows([(item.run.run_id, item.name, item.metrics or {}) for item in runs])
    metrics = list_decision_metrics(rows)
    if not metrics:
        return
    table = build_decision_table(rows)
    frame = pd.DataFrame(table.rows, columns=list(table.columns))
    st.markdown("**Likeliest class as the answer**")
    st.dataframe(
        frame,
        key="compare_decisions",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * len(frame),
        column_config={
            "Run": st.column_config.TextColumn(pinned=True, width=230),
            **{
                METRICS[name].title: st.column_config.TextColumn(width=175, help=METRICS[name].explanation)
                for name in metrics
            },
        },
        alt=f"Accuracy, F1 and kappa of {len(frame)} runs on test, with intervals.",
    )
    if len(runs) > sum(item.metrics is not None and item.metrics.get("task") == "multiclass" for item in runs):
        st.caption("A dash: the run tells labels of which an image may have several, so there is no likeliest one.")
