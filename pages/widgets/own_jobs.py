"""Storing own images as a job: its start, its progress, and the way to the set when it is there."""

from typing import Any

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from pages.widgets.data_choice import show_set
from pages.widgets.export_jobs import find_jobs
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.own_draft import Draft, find_root, forget_draft, leave
from pages.widgets.wording import escape_markdown

KIND = "add_data"


def draw_job(draft: Draft) -> bool:
    """The job at work, or how it ended; true while nothing else shall show.

    When it has stored the set, the address names that set, and the Data page follows.
    """
    job = _find_job(draft)
    if job is None:
        return False
    if not job.is_finished:
        draft["job_id"] = job.job_id
        with st.container(border=True, key="own_job"):
            follow_job(job, key="own_stop")
            st.caption("It goes on without this page. When it is done, the set opens here.")
        return True
    state = job.state()
    if state.status == "finished" and state.result is not None:
        go_to_set(state.result["data"])
        return True
    draw_ending(job)
    return False


def start(title: str, options: dict[str, Any], draft: Draft) -> None:
    """Start the job, or say why it cannot be; the page is drawn anew and shows it."""
    try:
        job = get_lab().jobs.start(KIND, title, options=options)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    draft["job_id"] = job.job_id
    st.rerun()


def go_to_set(data: dict[str, Any], *, prepare: bool = True) -> None:
    """Open a new set on the Data page, and have it decoded, which that page shows.

    Args:
        data: section of a config.
        prepare: false where its images are still to be found.
    """
    forget_draft()
    leave()
    show_set(data)
    if prepare:
        try:
            title = f"Preparing {DATASETS[data['dataset']].title}"
            get_lab().jobs.start("prepare", title, data=data)
        except MedPeftError as error:  # somebody has removed it in the meantime
            st.toast(escape_markdown(str(error)), icon=":material/error:", duration="long")
    st.rerun()


def _find_job(draft: Draft) -> Any | None:
    """The job of this visit; one of another, or of this one before it was loaded anew, where nothing was chosen yet."""
    jobs = find_jobs(KIND)
    mine = next((job for job in jobs if job.job_id == draft.get("job_id")), None)
    if mine is not None or find_root(draft) is not None:
        return mine
    return next((job for job in jobs if not job.is_finished), None)
