"""On Home: pre-trainings that run or wait, so that whoever waits for the device sees what keeps it busy."""

import streamlit as st

from pages.widgets.pretrain_list import list_active_pretrainings, write_pretrain_name
from pages.widgets.run_picker import PARAMETER
from pages.widgets.run_status import draw_status_chip
from pages.widgets.wording import escape_markdown, write_duration

POLL_EVERY_S = 2.0


def draw_pretrain_notice() -> None:
    """A line for each, which keeps itself up to date; nothing when there is none."""
    if list_active_pretrainings():
        st.fragment(_draw, run_every=POLL_EVERY_S)()


def _draw() -> None:
    active = list_active_pretrainings()
    if not active:
        st.rerun()  # ends the polling
    count = "A pre-training is" if len(active) == 1 else f"{len(active)} pre-trainings are"
    with st.container(border=True):
        st.markdown(f":material/grid_view: **{count} at work or waiting.** It shares the device with the other runs.")
        for item in active:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                draw_status_chip(item["status"])
                st.page_link(
                    "pages/pretrain.py",
                    label=escape_markdown(write_pretrain_name(item)),
                    query_params={PARAMETER: item["run_id"]},
                )
                eta = f", about {write_duration(item['eta_s'])} left" if item.get("eta_s") else ""
                st.caption(f"{item['phase'] or 'starting'}{eta}", width="content")
