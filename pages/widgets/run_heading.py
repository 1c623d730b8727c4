"""The head of a run of either kind on its page: what it is called, how it is doing, and the button that stops it."""

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import QUEUED, RUNNING, RunState
from pages.widgets.lab import get_lab
from pages.widgets.monitor_actions import draw_stop
from pages.widgets.monitor_work import describe_wait
from pages.widgets.run_status import draw_status_chip, draw_status_line
from pages.widgets.wording import escape_markdown, write_ago

POLL_EVERY_S = 1.0


def draw_heading(run: Run, state: RunState) -> None:
    """Status, name, end, tags and notes."""
    meta = run.meta()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        draw_status_chip(state.status)
        st.caption(f"`{run.run_id}`", width="content")
        if state.is_finished:
            st.caption(_write_ending(state), width="content")
        for tag in meta["tags"]:
            st.badge(escape_markdown(str(tag)), icon=":material/sell:", color="gray")
    if meta["notes"]:
        st.text(meta["notes"])


def draw_progress(run: Run, state: RunState, *, is_asked: bool) -> None:
    """The live line, and beside it the stop button, which is no part of what is live (see `draw_stop`).

    Args:
        run: queued or at work.
        state: of that run.
        is_asked: somebody has asked it to stop already.
    """
    with st.container(border=True):
        left, right = st.columns([5, 1], vertical_alignment="center")
        with left:
            st.fragment(_draw_line, run_every=POLL_EVERY_S)(run.run_id)
        with right:
            draw_stop(run, state, is_asked=is_asked)


def _write_ending(state: RunState) -> str:
    """How far a run got and when it ended."""
    steps = f"step {state.step:,} of {state.num_steps:,}, " if state.step and state.num_steps else ""
    return f"epoch {state.epoch} of {state.epochs}, {steps}ended {write_ago(state.updated_at)}"


def _draw_line(run_id: str) -> None:
    try:
        run = get_lab().load_run(run_id)
        state = run.state()
    except RunError:
        return  # the page says so at the next tick of its other live part
    if state.status == RUNNING:
        draw_status_line(get_lab().store, run, state)
    elif state.status == QUEUED:
        st.markdown(f":material/schedule: {describe_wait(run, state)}")
    else:
        st.markdown(f"{state.status.capitalize()}.")
