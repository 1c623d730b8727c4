"""Opening a data set that somebody has shared as one file; every claim of the file is checked before it is stored."""

from typing import Any

import streamlit as st

from medpeft_core.datasets.own.opening import open_data
from medpeft_core.errors import MedPeftError
from pages.widgets.data_sets import clean_folder
from pages.widgets.own_jobs import go_to_set
from pages.widgets.own_uploads import keep_shared
from pages.widgets.wording import escape_markdown, write_bytes

ROUND_KEY, FOLDER_KEY = "own_shared_round", "own_shared_folder"
ABOUT = (
    "A colleague's `.medpeft.zip` brings labels, splits and pseudonyms of patients, with or without the images. "
    "Where they are left out, give the folder that holds the same images here, or do so later."
)


def draw_shared() -> None:
    """The file, the folder of its images, and the button."""
    with st.expander("Open a shared data set", icon=":material/folder_zip:", key="own_shared"):
        st.markdown(ABOUT)
        upload = st.file_uploader(
            "Shared data set (.medpeft.zip)",
            type=["zip"],
            key=f"own_shared_file_{st.session_state.setdefault(ROUND_KEY, 0)}",
        )
        folder = st.text_input(
            "Folder of its images on this computer",
            placeholder="not needed where the file brings them",
            key=FOLDER_KEY,
        )
        is_clicked = st.button(
            "Open", key="own_open", type="primary", icon=":material/folder_open:", disabled=upload is None
        )
    if is_clicked and upload is not None:
        _open(upload, clean_folder(folder))


def _open(upload: Any, folder: str | None) -> None:
    place = st.empty()
    place.progress(0.0, text="Reading the file")
    try:
        with keep_shared(upload) as path:
            found = open_data(path, root=folder, progress=lambda what, done, total: _tell(place, what, done, total))
    except MedPeftError as error:
        place.error(escape_markdown(str(error)), title="It was not opened", icon=":material/error:")
        return
    st.session_state[ROUND_KEY] = st.session_state.get(ROUND_KEY, 0) + 1
    if found.get("num_missing"):
        st.toast(
            f"{found['num_missing']:,} of its images are not in that folder.",
            icon=":material/warning:",
            duration="long",
        )
    go_to_set(found["data"], prepare=bool(found["root"]))


def _tell(place: Any, what: str, done: int, total: int) -> None:
    share = min(done / total, 1.0) if total else 0.0
    count = f", {write_bytes(done)} of {write_bytes(total)}" if total else ""
    place.progress(share, text=f"{escape_markdown(what[:1].upper() + what[1:])}{count}")
