"""Checking and decoding a data set as a background job: start, progress, stop, and the report when it is there."""

import dataclasses
from typing import Any

import streamlit as st

from medpeft_core.config import DataConfig, build_part
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.resolve import resolve_data
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_ago


def draw_work(data: dict[str, Any]) -> dict[str, Any] | None:
    """The button, the progress, or how the last attempt ended; gives the report of the last one that was finished.

    Args:
        data: the data section of a config as the widgets gave it.
    """
    try:
        request = _complete(data)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return None
    is_missing_root = DATASETS[data["dataset"]].needs_root and not data["root"]
    job = _find_job(request)
    if job is not None and not job.is_finished:
        follow_job(job, key="data_job")
        return None
    report = job.report() if job is not None else None
    label = "Check again" if report else "Check and prepare"
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            label,
            type="secondary" if report else "primary",
            icon=":material/fact_check:",
            disabled=is_missing_root,
            key="data_prepare",
        ):
            _start(request)
        if is_missing_root:
            st.caption("Give the folder in which the data set lies.")
        if report:
            st.caption(f"Checked {write_ago(job.state().updated_at)}.")
            st.page_link("pages/train.py", label="Train on it", icon=":material/model_training:")
    if job is not None and job.state().status != "finished":
        draw_ending(job)
    return report


def _complete(data: dict[str, Any]) -> dict[str, Any]:
    """The data section with every default, so that equal requests look equal."""
    part = build_part(DataConfig, {name: value for name, value in data.items() if value is not None}, section="data")
    resolved = resolve_data(part)
    return dataclasses.asdict(resolved)


def _find_job(request: dict[str, Any]) -> Any | None:
    """The newest job that prepared, or prepares, exactly this."""
    jobs = get_lab().jobs.list_jobs()
    return next((job for job in jobs if job.kind == "prepare" and job.request().data == request), None)


def _start(request: dict[str, Any]) -> None:
    title = f"Preparing {DATASETS[request['dataset']].title}"
    try:
        get_lab().jobs.start("prepare", title, data=request)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.rerun()
