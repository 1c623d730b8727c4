"""What is known of the images that somebody is about to add: one plain dict in the session, so it survives a look at
another page."""

from pathlib import Path
from typing import Any

import streamlit as st

from pages.widgets.settings_form import renew_widgets

DRAFT_KEY = "own_draft"
OWN_PARAMETER = "own"
BY_FOLDER, BY_UPLOADED_FOLDER, BY_UPLOADED_FILES = "folder", "uploaded_folder", "uploaded_files"
PLACES = {
    BY_FOLDER: "Folder on this computer",
    BY_UPLOADED_FOLDER: "Upload a folder",
    BY_UPLOADED_FILES: "Upload files or a zip",
}
CORRECTIONS = ("form", "table", "options", "roles")
OWN_LINK = {OWN_PARAMETER: "1"}  # query parameters of a link to the Data page

Draft = dict[str, Any]


def is_adding() -> bool:
    """Whether the address asks for adding own images."""
    return OWN_PARAMETER in st.query_params


def get_draft() -> Draft:
    """The choices of this visit.

    `place` (one of `PLACES`), `path` (a folder on this computer), `upload` (folder of what was uploaded) with its
    `upload_name`, the corrections `form`, `table`, `options` and `roles`, the set's `title`, and the `job_id` that
    stores it.
    """
    if DRAFT_KEY not in st.session_state:
        st.session_state[DRAFT_KEY] = {"place": BY_FOLDER}
    return st.session_state[DRAFT_KEY]


def find_root(draft: Draft) -> Path | None:
    """The folder to look at; None before there is one."""
    text = draft.get("path") if draft.get("place", BY_FOLDER) == BY_FOLDER else draft.get("upload")
    return Path(text).expanduser() if text else None


def forget_corrections(draft: Draft) -> None:
    """Other images, other guesses: what was corrected does not hold for them."""
    for name in (*CORRECTIONS, "title"):
        draft.pop(name, None)
    renew_widgets()


def forget_draft() -> None:
    """Begin anew."""
    st.session_state.pop(DRAFT_KEY, None)
    renew_widgets()


def leave() -> None:
    """Back to the data sets; the draft stays."""
    st.query_params.pop(OWN_PARAMETER, None)


def open_adding() -> None:
    """To the page that adds own images."""
    st.query_params[OWN_PARAMETER] = "1"
