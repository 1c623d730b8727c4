"""The comparison of the selected runs: what differs, curves, figures with intervals, differences, size and time."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.runs.store import RunStore
from pages.widgets.compare_charts import draw_curves, draw_forest, draw_size_and_time
from pages.widgets.compare_decisions import draw_decisions
from pages.widgets.compare_metrics import draw_metrics
from pages.widgets.compare_pairs import draw_pairs
from pages.widgets.compare_rates import draw_rates
from pages.widgets.compare_runs import ComparedRun, find_caveats, find_notes, load_compared
from pages.widgets.compare_settings import draw_differences
from pages.widgets.compare_settings_chart import draw_settings_chart
from pages.widgets.compare_tables import draw_tables
from pages.widgets.wording import DISCLAIMER

MAX_COMPARED = 12  # colours and dashes tell so many apart


def draw_comparison(store: RunStore, summaries: Sequence[dict[str, Any]], selected: Sequence[str]) -> None:
    """All of it, for one run its own figures; nothing when nothing is selected.

    Raises:
        RunError: a run's files are damaged.
    """
    runs, damaged = load_compared(store, summaries, selected[:MAX_COMPARED])
    if len(selected) > MAX_COMPARED:
        st.warning(
            f"{len(selected)} runs are selected. The first {MAX_COMPARED} are compared below, as more curves cannot be "
            "told apart; “All at a glance” shows every one.",
            icon=":material/filter_9_plus:",
        )
    for run_id in damaged:
        st.warning(f"The run {run_id} is damaged and left out. Its page says what to do.", icon=":material/warning:")
    if not runs:
        return
    if len(runs) > 1:
        st.subheader("What differs", anchor=False)
        if caveats := find_caveats(runs):
            st.warning("  \n".join(caveats), title="Compare these figures with care", icon=":material/balance:")
        draw_differences(runs)
    draw_settings_chart(summaries, selected)
    draw_curves(runs)
    _draw_test_results(runs)
    st.caption("  \n".join([*find_notes(runs), f"**{DISCLAIMER}**"]))


def _draw_way_to_images(finished: Sequence[ComparedRun]) -> None:
    """From the figures of two runs to what both say about one image."""
    first, second = finished[:2]
    if len(finished) == 2 and first.summary["dataset"] == second.summary["dataset"]:
        st.page_link(
            "pages/explain.py",
            label="See both on the same images",
            icon=":material/visibility:",
            query_params={"run": first.run.run_id, "with": second.run.run_id},
        )


def _draw_test_results(runs: Sequence[ComparedRun]) -> None:
    """Charts of all runs, so that colours stay the same, then the tables of those that have figures."""
    finished = [item for item in runs if item.metrics is not None]
    if not finished:
        return
    st.subheader("Test results", anchor=False)
    draw_forest(runs)
    draw_metrics(finished)
    draw_decisions(finished)
    pairs = []
    if len(finished) > 1:
        st.subheader("Differences", anchor=False)
        pairs = draw_pairs(finished)
        _draw_way_to_images(finished)
    st.subheader("ROC, precision and recall", anchor=False)
    draw_rates(finished, names=[item.name for item in runs])
    if len(finished) > 1:
        st.subheader("What it cost", anchor=False)
        draw_size_and_time(runs)
    draw_tables(finished, pairs)
