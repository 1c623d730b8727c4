"""Preparing a data set as a background job: start, progress, stop, and how the last attempt ended."""

import dataclasses

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import DataView, check_sources, view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.data_choice import show_in_address
from pages.widgets.data_fetch import draw_fetch
from pages.widgets.data_folder import find_lacking, list_missing, look_again, write_unlike
from pages.widgets.data_jobs import find_job
from pages.widgets.data_sets import build_data_link
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_ago

CHANGED = "The files have changed since this set was prepared: what follows may be out of date. Check it again."
GONE = (
    "The files are not where they were when this set was prepared: {folder}. What was found then is shown, and small "
    "images as far as they were kept. Put the folder back, or give the new one above."
)
DOWNLOAD_FIRST = "Download it first: what is marked above is not on this computer."
MARKED = "Give a folder that holds what is marked above."
NO_DRAWINGS = (
    "The images of this set are not where the lab had drawn them. What was found then is shown; draw them again."
)
NO_PIXELS = (
    "The decoded images of this set were removed to free the disk. What was found in them is shown; to train and to "
    "explain they must be decoded again. The next run does so by itself, or do it now."
)


def draw_work(data: DataConfig, view: DataView | None, *, problem: str = "") -> None:
    """The button, the progress of a running job, or how the last attempt ended; and what has changed since.

    Args:
        data: resolved.
        view: what is known of the set, or None when it is not prepared.
        problem: why the folder cannot be read as this set, as far as that is known already.
    """
    key = view_key(data)
    job = find_job(key)
    if view is not None or job is not None:
        show_in_address(key)
    if job is not None and not job.is_finished:
        follow_job(job, key="data_job")
        return
    if view is None:
        _draw_unprepared(data, problem)
    else:
        _draw_prepared(data, view)
    is_newer = job is not None and (view is None or job.state().updated_at > view.made_at)
    if job is not None and is_newer and job.state().status != "finished":
        draw_ending(job)


def _draw_unprepared(data: DataConfig, problem: str) -> None:
    """What to do next: give the folder, complete it, download the set, or have it prepared."""
    spec = DATASETS[data.dataset]
    is_missing_root = spec.needs_root and not data.root
    missing, lacking = list_missing(data), find_lacking(data)
    if draw_fetch(data):
        return
    if is_missing_root:
        st.info("Give the folder in which the data set lies.", icon=":material/folder_open:")
    elif lacking and spec.offer is None and (unlike := write_unlike(data)):
        st.warning(unlike, icon=":material/folder_off:")
    elif problem and not lacking:  # else the list on the card tells it
        st.error(escape_markdown(problem), icon=":material/error:")
    elif missing and spec.offer is None:
        st.warning(
            f"This folder is not {escape_markdown(spec.title)} as it is distributed: "
            f"{escape_markdown(', '.join(missing))} {'is' if len(missing) == 1 else 'are'} missing, as the list above "
            "tells. Give the folder that holds all of it, or get what is missing.",
            icon=":material/folder_off:",
        )
    elif not missing:
        work = "drawn and checked" if spec.is_synthetic else "read, checked and decoded"
        st.info(
            f"This set is not prepared yet. Once it was {work}, which takes about a minute for a few thousand images, "
            "its report, charts and images are shown here.",
            icon=":material/inventory_2:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        is_clicked = st.button(
            "Check and prepare",
            type="secondary" if missing else "primary",
            icon=":material/fact_check:",
            disabled=is_missing_root or bool(lacking),
            key="data_prepare",
        )
        if lacking:
            st.caption(MARKED if spec.needs_root else DOWNLOAD_FIRST, width="content")
            st.button("Look again", key="data_look", icon=":material/refresh:", type="tertiary", on_click=look_again)
    if is_clicked:
        _start(data)


def _draw_prepared(data: DataConfig, view: DataView) -> None:
    """What can be done with the set, how it is, and what is wrong with its files since it was prepared."""
    freshness = check_sources(view)
    is_undrawn = freshness == "gone" and view.manifest.is_synthetic
    is_undecoded = freshness != "gone" and not view.has_pixels
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_undrawn or is_undecoded:
            label, icon = ("Draw again", ":material/draw:") if is_undrawn else ("Decode again", ":material/refresh:")
            is_clicked = st.button(label, type="primary", icon=icon, key="data_prepare")
        else:
            is_clicked = st.button("Check again", icon=":material/fact_check:", key="data_prepare")
        if is_clicked:
            _start(data)
        st.page_link(
            "pages/train.py",
            label="Train on it",
            icon=":material/model_training:",
            query_params=build_data_link(data),
        )
        st.page_link(
            "pages/pretrain.py",
            label="Pre-train on it",
            icon=":material/grid_view:",
            query_params=build_data_link(data),
        )
        state = (
            ":material/check_circle: Prepared, checked"
            if view.has_pixels
            else ":material/history: Not decoded, checked"
        )
        st.caption(f"{state} {write_ago(view.made_at)}.", width="content")
    if is_undrawn:
        st.warning(NO_DRAWINGS, icon=":material/folder_off:")
    elif freshness == "gone":
        folder = escape_markdown(str(view.manifest.image_root))
        st.warning(GONE.format(folder=folder), icon=":material/folder_off:")
    elif is_undecoded:
        st.warning(NO_PIXELS, icon=":material/delete:")
    elif freshness == "changed":
        st.warning(CHANGED, icon=":material/update:")


def _start(data: DataConfig) -> None:
    title = f"Preparing {DATASETS[data.dataset].title}"
    try:
        get_lab().jobs.start("prepare", title, data=dataclasses.asdict(data))
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.rerun()
