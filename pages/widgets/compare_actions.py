"""What can be done with the selected runs: tags and notes, delete, and the other pages of a single one."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from pages.widgets.compare_selection import deselect
from pages.widgets.compare_tags import draw_tags_menu
from pages.widgets.compare_trash import draw_delete


def draw_actions(store: RunStore, summaries: Sequence[dict[str, Any]], selected: Sequence[str]) -> None:
    """One line below the table; nothing when nothing is selected."""
    if not selected:
        return
    by_id = {item["run_id"]: item for item in summaries}
    whole = [by_id[run_id] for run_id in selected if by_id[run_id]["status"] is not None]
    with st.container(horizontal=True, vertical_alignment="center", key="compare_actions"):
        st.markdown(f"**{len(selected)} selected**", width="content")
        if whole:
            draw_tags_menu(store, summaries, whole)
        draw_delete(store, selected)
        if st.button("Clear", icon=":material/deselect:", type="tertiary", key="compare_clear", help="Select none."):
            deselect(selected)
            st.rerun()
        if len(selected) == 1:
            draw_run_links(selected[0], by_id[selected[0]]["status"])


def draw_run_links(run_id: str, status: str | None) -> None:
    """To the other pages of a run; of a damaged one to its own only."""
    st.page_link("pages/monitor.py", label="Details", icon=":material/monitoring:", query_params={"run": run_id})
    if status == FINISHED:
        st.page_link("pages/explain.py", label="Explain", icon=":material/visibility:", query_params={"run": run_id})
    if status is not None:
        st.page_link(
            "pages/train.py", label="Copy settings", icon=":material/content_copy:", query_params={"copy": run_id}
        )
