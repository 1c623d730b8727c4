"""What to do next where there is nothing to compare yet."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.widgets.compare_actions import draw_run_links


def draw_empty() -> None:
    """For a lab without runs."""
    st.info(
        "No runs yet. Start the demo on Home, or train a model: once there are two runs, this page shows which "
        "settings differ and how far apart the results are.",
        icon=":material/hourglass_empty:",
    )
    with st.container(horizontal=True):
        st.page_link("pages/home.py", label="Start the demo", icon=":material/play_circle:")
        st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")


def draw_hint(summaries: Sequence[dict[str, Any]], selected: Sequence[str]) -> None:
    """The next step, and links to the other pages of a run that is alone in the lab."""
    if len(selected) > 1:
        return
    if len(summaries) == 1:
        st.info(
            "One run so far. A comparison needs a second one: copy its settings and change one thing, such as the "
            "method or the share of the data.",
            icon=":material/content_copy:",
        )
    elif not selected:
        st.info(
            "Tick runs in the first column of the table: two or more for curves over each other, figures with "
            "intervals, and what differs between their settings. The address then names them, so the link shows the "
            "same comparison.",
            icon=":material/check_box:",
        )
    if not selected and len(summaries) == 1:
        with st.container(horizontal=True):
            draw_run_links(summaries[0]["run_id"], summaries[0]["status"])
