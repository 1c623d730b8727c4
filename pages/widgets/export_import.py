"""Bringing a run in that another lab gave away: a zip by path or upload, its job, and the way to the run."""

import time
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.kinds import is_pretraining_id
from pages.widgets.data_sets import clean_folder
from pages.widgets.export_jobs import find_jobs
from pages.widgets.job_progress import draw_ending
from pages.widgets.lab import get_lab
from pages.widgets.run_picker import PARAMETER
from pages.widgets.weights_uploads import describe_limit, draw_uploader, keep_upload, sweep_uploads
from pages.widgets.wording import escape_markdown

KIND = "import_run"
TITLE = "Bringing a run in"
NEWS_S = 900.0  # how long it is told how a job ended
OPEN_KEY = "monitor_import_is_open"  # a dialog that only a button knew of would close when the page is drawn anew
DISMISSED_KEY = "monitor_import_dismissed"
PLACES = ("A file on the lab's computer", "An upload")


def draw_import_button() -> None:
    """What opens the dialog, and the dialog while it is open."""
    st.button("Bring in a run", icon=":material/move_to_inbox:", key="monitor_import", on_click=_open)
    if st.session_state.get(OPEN_KEY):
        st.dialog("Bring in a run from another lab", icon=":material/move_to_inbox:", on_dismiss=_close)(_draw_form)()


def draw_import_news(shown_run_id: str | None) -> None:
    """How the last job that brought a run in has ended, for a while.

    Args:
        shown_run_id: the run that the page is about; None for none.
    """
    sweep_uploads()
    job = next(iter(find_jobs(KIND)), None)
    if job is None or not job.is_finished or st.session_state.get(DISMISSED_KEY) == job.job_id:
        return
    state = job.state()
    if time.time() - state.updated_at > NEWS_S:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="monitor_import_news"):
        if state.status == "finished":
            _draw_arrival(state.run_ids, shown_run_id)
        else:
            draw_ending(job)
        st.button("Dismiss", type="tertiary", key="monitor_import_dismiss", on_click=_dismiss, args=(job.job_id,))


def _draw_arrival(run_ids: tuple[str, ...], shown_run_id: str | None) -> None:
    [run_id] = run_ids
    if run_id == shown_run_id:
        st.success("This run came from another lab. All its hashes were right.", icon=":material/move_to_inbox:")
        return
    st.success(f"The run {run_id} is here. All its hashes were right.", icon=":material/move_to_inbox:")
    page, icon = ("pretrain", "grid_view") if is_pretraining_id(run_id) else ("monitor", "monitoring")
    st.page_link(f"pages/{page}.py", label="Open it", icon=f":material/{icon}:", query_params={PARAMETER: run_id})


def _dismiss(job_id: str) -> None:
    st.session_state[DISMISSED_KEY] = job_id


def _open() -> None:
    st.session_state[OPEN_KEY] = True


def _close() -> None:
    st.session_state.pop(OPEN_KEY, None)


def _draw_form() -> None:
    st.markdown(
        "The other lab makes the file on its Monitor page: *Take it elsewhere*, *Whole run*. Every file in it is "
        "checked against its hash before anything is put in place; nothing in it is executed."
    )
    place = st.segmented_control(
        "Where the zip is", PLACES, default=PLACES[0], required=True, key="monitor_import_place"
    )
    if place == PLACES[0]:
        typed = st.text_input(
            "Zip on the lab's computer", placeholder="/data/runs/archive.zip", key="monitor_import_path"
        )
        path, upload = clean_folder(typed), None
    else:
        path, upload = None, draw_uploader("The zip of a run", types=["zip"], key="monitor_import_upload")
        st.caption(describe_limit())
    if st.button(
        "Bring it in",
        type="primary",
        icon=":material/move_to_inbox:",
        key="monitor_import_start",
    ):
        _start(path, upload)


def _start(path: str | None, upload: Any) -> None:
    try:
        if upload is not None:
            path = str(keep_upload(upload))
        if path is None:
            st.error("Give the zip of a run first.", icon=":material/folder_open:")
            return
        get_lab().jobs.start(KIND, TITLE, options={"path": path})
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    _close()
    st.rerun()  # the page shows the job
