"""The newest runs as a table on Home, kept up to date while something is at work."""

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from pages.widgets.lab import get_lab
from pages.widgets.runs_table import draw_runs_table

NUM_SHOWN = 8
POLL_EVERY_S = 2.0
COLUMNS = ("status", "run_id", "progress", "curve", "test_auroc", "interval", "started")
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
    is_active = any(item["status"] in WORKING for item in summaries)
    st.fragment(_draw_table, run_every=POLL_EVERY_S if is_active else None)()
    if len(summaries) > NUM_SHOWN:
        st.page_link("pages/compare.py", label=f"All {len(summaries)} runs", icon=":material/table_rows:")


def _draw_table() -> None:
    draw_runs_table(list_summaries(get_lab().store)[:NUM_SHOWN], key="home_runs", columns=COLUMNS)
