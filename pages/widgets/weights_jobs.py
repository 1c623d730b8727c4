"""Putting weights on the shelf as a job: its progress, and what came of it."""

import time
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.export_jobs import find_jobs
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.weights_draft import forget_added
from pages.widgets.weights_handover import build_weights_link
from pages.widgets.weights_report import draw_counts
from pages.widgets.wording import escape_markdown, write_bytes

KIND = "add_weights"
NEWS_S = 900.0  # how long it is told how a job ended
DISMISSED_KEY = "weights_dismissed"


def draw_job() -> None:
    """The job at work, or how the last one ended, for a while."""
    job = next(iter(find_jobs(KIND)), None)
    if job is None:
        return
    if not job.is_finished:
        with st.container(border=True):
            follow_job(job, key="weights_job")
        return
    state = job.state()
    if time.time() - state.updated_at > NEWS_S or st.session_state.get(DISMISSED_KEY) == job.job_id:
        return
    with st.container(border=True, key="weights_news"):
        if state.status == "finished" and state.result is not None:
            _draw_added(state.result)
        else:
            draw_ending(job)
        with st.container(horizontal=True, vertical_alignment="center"):
            if state.result is not None:
                st.page_link(
                    "pages/train.py",
                    label="Fine-tune from these",
                    icon=":material/model_training:",
                    query_params=build_weights_link(str(state.result["name"])),
                )
            st.button("Dismiss", type="tertiary", key="weights_dismiss", on_click=_dismiss, args=(job.job_id,))


def is_at_work() -> bool:
    """Whether weights are being added now."""
    return any(not job.is_finished for job in find_jobs(KIND))


def start(name: str, options: dict[str, Any]) -> None:
    """Start the job, or say why it cannot be; the page is drawn anew and shows it.

    Args:
        name: of the entry.
        options: of `add_weights`.
    """
    try:
        get_lab().jobs.start(KIND, f"Adding {name}", options=options)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.session_state.pop(DISMISSED_KEY, None)
    st.rerun()


def _draw_added(result: dict[str, Any]) -> None:
    name = str(result["name"])
    forget_added(name)
    if result["was_there"]:
        st.info(
            f"The same weights were on the shelf already, as {escape_markdown(name)}; nothing was added.",
            icon=":material/content_copy:",
        )
    else:
        st.success(
            f"{escape_markdown(name)} is on the shelf, {write_bytes(result['num_bytes'])}.",
            icon=":material/check_circle:",
        )
    draw_counts(result["counts"])


def _dismiss(job_id: str) -> None:
    st.session_state[DISMISSED_KEY] = job_id
