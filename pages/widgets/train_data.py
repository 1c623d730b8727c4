"""On the Train page: data that are not prepared yet, and the job that prepares them."""

from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.data_jobs import find_job
from pages.widgets.data_sets import build_data_link
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.own_draft import OWN_LINK
from pages.widgets.train_answers import forget_answers
from pages.widgets.train_messages import draw_problem


def draw_unprepared(config: RunConfig) -> None:
    """Says that the data must be prepared, and offers to do it now; or shows the job that does.

    Args:
        config: resolved.
    """
    data = asdict(replace(config.data, fraction=1.0, fraction_seed=0))  # as the Data page does: whole
    job = find_job(view_key(config.data), cache_size=config.data.cache_size)
    if job is not None and not job.is_finished:
        follow_job(job, key="train_data_job", on_end=forget_answers)  # they said that the data were not there
        return
    spec = DATASETS[config.data.dataset]
    state, work = ("drawn", "draws") if spec.is_synthetic else ("decoded", "decodes")
    st.info(
        f"The images of this set are not {state} yet. Starting a run {work} them first, about a minute for a few "
        "thousand; or do it now. Time and counts are known then.",
        icon=":material/inventory_2:",
    )
    if job is not None and job.state().status != "finished":
        draw_ending(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Prepare the data now", icon=":material/fact_check:", key="train_prepare"):
            _start(spec.title, data)
        st.page_link(
            "pages/data.py",
            label="Data page",
            icon=":material/radiology:",
            query_params=build_data_link(config.data) if job is not None else None,
        )
        st.page_link(
            "pages/data.py", label="Add your own images", icon=":material/add_photo_alternate:", query_params=OWN_LINK
        )


def _start(title: str, data: dict[str, Any]) -> None:
    try:
        get_lab().jobs.start("prepare", f"Preparing {title}", data=data)
    except MedPeftError as error:
        draw_problem(str(error), title="The data cannot be prepared")
        return
    st.rerun()
