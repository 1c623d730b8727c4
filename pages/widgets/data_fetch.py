"""Downloading a data set by an explicit click: size, terms and source first; then progress, a stop, and preparing."""

import contextlib
import dataclasses
from typing import Any

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.fetching import find_offer
from medpeft_core.datasets.spec import FetchOffer
from medpeft_core.errors import MedPeftError
from pages.widgets.data_folder import LOOK_AGAIN_S
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_bytes

STARTED_KEY = "data_fetch_started"  # the job that this visitor has started last
STOPPED = "The download was stopped. What came so far is kept and used when it is started again."


def draw_fetch(data: DataConfig) -> bool:
    """The offer with its button, or the running download; nothing for sets that the lab cannot download or that are
    there.

    Args:
        data: resolved, of a set that is not prepared.

    Returns:
        Whether a download is at work.
    """
    if DATASETS[data.dataset].offer is None:
        return False
    job = find_fetch_job(data)
    if job is not None and not job.is_finished:
        follow_job(job, key="data_fetch_job")
        return True
    if job is not None and st.session_state.get(STARTED_KEY) == job.job_id:
        _prepare_after(job, data)
    offer = _find_offer(data)
    if offer is None or offer.is_there:
        return False
    _draw_offer(data, offer)
    if job is not None and job.state().status == "stopped":
        st.info(STOPPED, icon=":material/stop_circle:")
    elif job is not None and job.state().status != "finished":
        draw_ending(job)
    return False


def find_fetch_job(data: DataConfig) -> Any | None:
    """The newest job that downloads, or downloaded, this set into this folder."""
    wanted = _build_request(data)
    for job in get_lab().jobs.list_jobs():
        with contextlib.suppress(MedPeftError, TypeError, KeyError):  # of a damaged job, or of another version
            request = job.request()
            if request.kind == "fetch_data" and request.options == wanted:
                return job
    return None


def write_download(offer: FetchOffer) -> str:
    """The words on the button: "Download (at most 24 MiB)"."""
    if offer.num_bytes is None:
        return f"Download ({offer.num_files:,} {'file' if offer.num_files == 1 else 'files'})"
    return f"Download ({'at most ' if offer.is_limit else ''}{write_bytes(offer.num_bytes)})"


def _draw_offer(data: DataConfig, offer: FetchOffer) -> None:
    is_missing_root = DATASETS[data.dataset].needs_root and not data.root
    size = "size not known" if offer.num_bytes is None else write_bytes(offer.num_bytes)
    limit = "at most " if offer.is_limit else ""
    files = "1 file" if offer.num_files == 1 else f"{offer.num_files:,} files"
    with st.container(border=True):
        st.markdown(f"**Download it** · {files}, {limit}{size}")
        st.caption(
            f"**From:** {escape_markdown(offer.source)}  \n**Licence:** {escape_markdown(offer.licence)}"
            + (f"  \n{escape_markdown(offer.note)}" if offer.note else "")
        )
        if dataclasses.fields(DATASETS[data.dataset].options) and offer.is_limit:
            st.caption(":material/tune: Which one, and how large, is chosen above.")
        if is_missing_root:
            st.caption(":material/folder_open: Give the folder for it above first; it may be a new one.")
        is_clicked = st.button(
            write_download(offer), type="primary", icon=":material/download:", disabled=is_missing_root,
            key="data_fetch",
        )  # fmt: skip
    if is_clicked:
        _start(data)


def _start(data: DataConfig) -> None:
    title = f"Downloading {DATASETS[data.dataset].title}"
    try:
        job = get_lab().jobs.start("fetch_data", title, options=_build_request(data))
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.session_state[STARTED_KEY] = job.job_id
    st.rerun()


def _prepare_after(job: Any, data: DataConfig) -> None:
    """Prepare the set once the download that this visitor has started came to a good end."""
    st.session_state.pop(STARTED_KEY)
    _offer.clear()
    if job.state().status != "finished":
        return
    try:
        get_lab().jobs.start("prepare", f"Preparing {DATASETS[data.dataset].title}", data=dataclasses.asdict(data))
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.rerun()


def _build_request(data: DataConfig) -> dict[str, Any]:
    return {"dataset": data.dataset, "root": data.root, "options": dict(data.options)}


def _find_offer(data: DataConfig) -> FetchOffer | None:
    try:
        return _offer(data.dataset, data.root, tuple(sorted(data.options.items())))
    except (MedPeftError, OSError) as error:
        st.caption(f":material/info: {escape_markdown(str(error))}")
        return None


@st.cache_data(ttl=LOOK_AGAIN_S, max_entries=32, show_spinner=False)
def _offer(dataset: str, root: str | None, options: tuple[tuple[str, Any], ...]) -> FetchOffer | None:
    return find_offer(dataset, root, dict(options))
