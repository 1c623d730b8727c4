"""The newest runs as a table on Home, kept up to date while something is at work."""

from typing import Any

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from pages.widgets.lab import get_lab
from pages.widgets.run_picker import PARAMETER
from pages.widgets.runs_table import draw_runs_table

NUM_SHOWN = 8
POLL_EVERY_S = 2.0
COLUMNS = ("status", "run_id", "progress", "curve", "test_auroc", "interval", "dataset", "started")
WORKING = ("queued", "running", "paused")


def draw_latest_runs() -> None:
    """The table, or what will be here."""
    summaries = list_summaries(get_lab().store)
    if not summaries:
        st.info(
            "No runs yet. Start the demo above, or choose data, a backbone and a method on the Train page.",
            icon=":material/hourglass_empty:",
        )
        return
    st.caption("Tick a run to open it. The figures of synthetic and of real images do not compare.")
    is_active = _has_work(summaries)
    st.fragment(_draw_table, run_every=POLL_EVERY_S if is_active else None)(was_active=is_active)
    if len(summaries) > NUM_SHOWN:
        st.page_link("pages/compare.py", label=f"All {len(summaries)} runs", icon=":material/table_rows:")


def _has_work(summaries: list[dict[str, Any]]) -> bool:
    return any(item["status"] in WORKING for item in summaries)


def _draw_table(*, was_active: bool) -> None:
    summaries = list_summaries(get_lab().store)
    if _has_work(summaries) != was_active:
        st.rerun()  # begin or end the polling
    chosen = draw_runs_table(
        summaries[:NUM_SHOWN], key="home_runs", columns=COLUMNS, selection_mode="single-row", max_rows=NUM_SHOWN
    )
    if chosen:
        st.switch_page("pages/monitor.py", query_params={PARAMETER: chosen[0]})
