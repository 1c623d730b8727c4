"""One job as people see it: what it does, how far it is, how long it will take, and a way to stop it."""

from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_duration


def draw_job(job: Any, *, key: str) -> None:
    """The progress of a running job with its stop button, or how it ended.

    Args:
        job: a `Job` of the lab.
        key: of the stop button.
    """
    state = job.state()
    if state.status == "running":
        _draw_running(job, state, key=key)
    elif state.status == "finished":
        st.success(f"{job.title}: done.", icon=":material/check_circle:")
    elif state.status == "stopped":
        st.info(f"{job.title}: stopped. Nothing half-done was left.", icon=":material/stop_circle:")
    else:
        st.error(
            escape_markdown(state.error or "The reason is not known."),
            title=f"{job.title}: {state.status}",
            icon=":material/error:",
        )


def _draw_running(job: Any, state: Any, *, key: str) -> None:
    share = min(state.done / state.total, 1.0) if state.total else 0.0
    count = f", {state.done:,} of {state.total:,}" if state.total else ""
    eta = f", about {write_duration(state.eta_s)} left" if state.eta_s else ""
    is_stopping = job.is_stop_requested
    text = "stopping" if is_stopping else f"{(state.what or 'starting').capitalize()}{count}{eta}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(share, text=f"**{job.title}**: {text}")
        if st.button("Stop", key=key, icon=":material/stop:", disabled=is_stopping):
            _stop(job)


def _stop(job: Any) -> None:
    try:
        get_lab().jobs.request_stop(job.job_id)
    except MedPeftError as error:
        st.info(escape_markdown(str(error)))
