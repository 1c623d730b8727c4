"""The learner's own run of the second lesson: start, progress, stop, resume.

Buttons stand outside the parts that keep themselves up to date: a tab that has just found its server again has no live
parts yet, and Streamlit drops the clicks that belong to them.
"""

import streamlit as st

from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.lessons.shortcut import build_config
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.launching import start_runs
from pages.widgets.lesson_parts import draw_own_note
from pages.widgets.lesson_shortcut_state import JOB_TITLE, KEY, find_job, find_last_job
from pages.widgets.run_heading import draw_progress
from pages.widgets.run_picker import PARAMETER
from pages.widgets.run_status import ACTIVE, draw_status_chip, is_stopping
from pages.widgets.wording import escape_markdown, write_ago

POLL_EVERY_S = 1.0
PLAN = (
    "The radiographs are drawn once, which takes a minute or two. Then the model trains, which takes as long again on "
    "a laptop, in the background of this computer: you may close the page and come back."
)


def draw_own_run(run: Run | None) -> None:
    """Where the run stands, and what can be done with it. Not to be called in a fragment.

    Args:
        run: the lesson's in this home; None where there is none yet.
    """
    job = find_job()
    with st.container(border=True, key=f"{KEY}_own"):
        if job is not None:
            follow_job(job, key=f"{KEY}_job")
            st.caption("The run starts by itself when they are drawn.")
        elif run is None:
            _draw_last_failure()
            st.markdown(PLAN)
            _offer_start("Train it yourself", is_primary=True)
        elif run.status in ACTIVE:
            _draw_at_work(run)
        elif run.status == FINISHED:
            draw_own_note(run.run_id, ended=write_ago(run.state().updated_at))
            _offer_start("Train it again", is_primary=False)
        else:
            _draw_ended(run)


def _draw_at_work(run: Run) -> None:
    state = run.state()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        draw_status_chip(state.status)
        st.page_link(
            "pages/monitor.py",
            label="Watch its curves on Monitor",
            icon=":material/monitoring:",
            query_params={PARAMETER: run.run_id},
        )
    draw_progress(run, state, is_asked=is_stopping(get_lab().store, run))
    st.fragment(_watch, run_every=POLL_EVERY_S)(run.run_id, state.status)


def _watch(run_id: str, status: str) -> None:
    """Draws nothing: lets the whole page follow when the run begins or ends."""
    try:
        is_changed = get_lab().load_run(run_id).status != status
    except RunError:  # deleted
        is_changed = True
    if is_changed:
        st.rerun()


def _draw_ended(run: Run) -> None:
    """Stopped, interrupted, failed or cancelled."""
    state = run.state()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        draw_status_chip(state.status)
        st.page_link(
            "pages/monitor.py", label="Open it", icon=":material/monitoring:", query_params={PARAMETER: run.run_id}
        )
    if state.error:
        st.error(escape_markdown(state.error), title="The run did not get to its end", icon=":material/error:")
    with st.container(horizontal=True):
        if st.button("Resume", type="primary", icon=":material/play_arrow:", key=f"{KEY}_resume"):
            _resume(run)
        _offer_start("Start anew", is_primary=False)


def _offer_start(label: str, *, is_primary: bool) -> None:
    if st.button(
        label,
        type="primary" if is_primary else "tertiary",
        icon=":material/play_arrow:" if is_primary else ":material/replay:",
        key=f"{KEY}_start",
    ):
        _start()


def _start() -> None:
    try:
        start_runs([build_config().to_dict()], title=JOB_TITLE)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The run could not start", icon=":material/error:")
        return
    st.rerun()


def _resume(run: Run) -> None:
    try:
        get_lab().store.requeue(run.run_id)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The run could not be resumed", icon=":material/error:")
        return
    st.rerun()


def _draw_last_failure() -> None:
    job = find_last_job()
    if job is not None and job.state().status != "finished":
        draw_ending(job)
