"""One job as people see it: what it does, how far it is, how long it will take, and a way to stop it.

The stop button stands outside the part that keeps itself up to date: a tab that has just found its server again has no
live parts yet, and Streamlit drops the clicks that belong to them.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_duration

POLL_EVERY_S = 0.5


def follow_job(job: Any, *, key: str, on_end: Callable[[], object] | None = None) -> None:
    """The progress of a running job with its stop button; draws the page anew when the job has ended.

    Args:
        job: a running `Job` of the lab. Not to be called in a fragment.
        key: of the stop button.
        on_end: is called before the page is drawn anew.
    """
    is_stopping = job.is_stop_requested
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.fragment(_draw_progress, run_every=POLL_EVERY_S)(job.job_id, is_stopping, on_end)
        if st.button("Stop", key=key, icon=":material/stop:", disabled=is_stopping):
            _stop(job)
            st.rerun()


def draw_ending(job: Any) -> None:
    """How a job ended.

    Args:
        job: a `Job` of the lab that is not at work any more.
    """
    state = job.state()
    if state.status == "finished":
        st.success(f"{escape_markdown(job.title)}: done.", icon=":material/check_circle:")
    elif state.status == "stopped":
        st.info(f"{escape_markdown(job.title)}: stopped. Nothing half-done was left.", icon=":material/stop_circle:")
    else:
        st.error(
            escape_markdown(state.error or "The reason is not known."),
            title=f"{escape_markdown(job.title)}: {state.status}",
            icon=":material/error:",
        )


def _draw_progress(job_id: str, was_stopping: bool, on_end: Callable[[], object] | None) -> None:
    try:
        job = get_lab().jobs.load(job_id)
    except MedPeftError:  # somebody has deleted it
        st.rerun()
    state, is_stopping = job.state(), job.is_stop_requested
    if job.is_finished:
        if on_end is not None:
            on_end()
        st.rerun()
    if is_stopping and not was_stopping:
        st.rerun()  # somebody else asked for it: the button says so too
    share = min(state.done / state.total, 1.0) if state.total else 0.0
    count = f", {state.done:,} of {state.total:,}" if state.total else ""
    eta = f", about {write_duration(state.eta_s)} left" if state.eta_s else ""
    text = "stopping" if is_stopping else f"{(state.what or 'starting').capitalize()}{count}{eta}"
    st.progress(share, text=f"**{escape_markdown(job.title)}**: {text}")


def _stop(job: Any) -> None:
    try:
        get_lab().jobs.request_stop(job.job_id)
    except MedPeftError as error:
        st.toast(escape_markdown(str(error)), icon=":material/info:", duration="long")
