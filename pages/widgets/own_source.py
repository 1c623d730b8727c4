"""Where own images are: a folder on the lab's computer, or an upload through the browser."""

from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.data_sets import clean_folder
from pages.widgets.own_draft import (
    BY_FOLDER,
    BY_UPLOADED_FOLDER,
    PLACES,
    Draft,
    find_root,
    forget_corrections,
)
from pages.widgets.own_look import look_again
from pages.widgets.own_uploads import describe_folder, make_folder, remove_upload, take_in
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.wording import escape_markdown, write_bytes

ROUND_KEY = "own_round"
TYPES = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "dcm", "dicom", "csv", "tsv", "txt", "xlsx", "parquet", "zip"]
IN_PLACE = "Images in a folder stay where they are: the lab notes where they lie and copies nothing."
KEPT_HERE = "Uploads are kept in the lab's own folder on the computer that it runs on, and go nowhere else."


def choose_source(draft: Draft) -> Path | None:
    """The widgets; the folder to look at, or None while there is none."""
    with st.container(border=True, key="own_source"):
        st.markdown("**1 · Where are your images?**")
        place = st.segmented_control(
            "Where",
            list(PLACES),
            default=draft.get("place", BY_FOLDER),
            required=True,
            format_func=PLACES.__getitem__,
            label_visibility="collapsed",
            **bind(draft, "place", key="own_place", after=lambda: _change_place(draft)),
        )
        if place == BY_FOLDER:
            _choose_folder(draft)
        else:
            _choose_upload(draft, is_folder=place == BY_UPLOADED_FOLDER)
    return _check(draft)


def _change_place(draft: Draft) -> None:
    draft.pop("upload_problem", None)
    forget_corrections(draft)


def _choose_folder(draft: Draft) -> None:
    st.text_input(
        "Folder on this computer",
        value=draft.get("path", ""),
        placeholder="/home/me/my-images",
        help="The folder with the images, and with their table if there is one, on the computer that the lab runs on.",
        **bind(draft, "path", key="own_path", after=lambda: _follow_path(draft)),
    )
    st.caption(f":material/lock: {IN_PLACE}")


def _follow_path(draft: Draft) -> None:
    path = clean_folder(draft.get("path"))
    draft["path"] = path or ""
    forget_corrections(draft)


def _choose_upload(draft: Draft, *, is_folder: bool) -> None:
    if draft.get("upload"):
        _draw_upload(draft)
    if draft.get("upload_note"):
        st.caption(f":material/info: {escape_markdown(draft['upload_note'])}")
    label = "A folder; its folders come along" if is_folder else "Images, a table and images, or one zip"
    if draft.get("upload"):
        label = "Add more"
    files = st.file_uploader(
        label,
        type=None if is_folder else TYPES,
        accept_multiple_files="directory" if is_folder else True,
        key=f"own_files_{is_folder}_{st.session_state.setdefault(ROUND_KEY, 0)}",
    )
    limit = int(st.get_option("server.maxUploadSize"))
    st.caption(f":material/lock: {KEPT_HERE} Up to {limit} MB a file; for more, give a folder on that computer.")
    if draft.get("upload_problem"):
        st.error(escape_markdown(draft["upload_problem"]), icon=":material/error:")
    if files:
        _take(draft, list(files))


def _draw_upload(draft: Draft) -> None:
    count, size = describe_folder(Path(draft["upload"]))
    with st.container(horizontal=True, vertical_alignment="center"):
        noun = "file" if count == 1 else "files"
        st.markdown(f":material/check_circle: **{count:,} {noun}** uploaded, {write_bytes(size)}", width="content")
        st.button(
            "Remove the upload",
            key="own_clear",
            icon=":material/delete:",
            type="tertiary",
            on_click=_clear,
            args=(draft,),
        )


def _take(draft: Draft, files: list[Any]) -> None:
    """Write what came through the browser; the widget is emptied, which frees the server's memory."""
    folder = Path(draft["upload"]) if draft.get("upload") else make_folder()
    place = st.empty()
    draft.pop("upload_problem", None)
    try:
        note = take_in(files, folder, progress=lambda what, done, total: _tell(place, what, done, total))
    except MedPeftError as error:
        if not draft.get("upload"):
            remove_upload(folder)
        draft["upload_problem"] = str(error)
    else:
        draft |= {"upload": str(folder), "upload_note": note}
        draft["upload_name"] = draft.get("upload_name") or _name_upload(files)
        look_again()  # the folder may have been looked at before more came into it
        forget_corrections(draft)
    st.session_state[ROUND_KEY] = st.session_state.get(ROUND_KEY, 0) + 1
    st.rerun()


def _tell(place: Any, what: str, done: int, total: int) -> None:
    share = min(done / total, 1.0) if total else 0.0
    place.progress(share, text=f"{escape_markdown(what[:1].upper() + what[1:])}, {done:,} of {total:,}")


def _name_upload(files: list[Any]) -> str:
    """The folder that somebody chose, or the name of the zip."""
    first = str(files[0].name).replace("\\", "/")
    top, slash, _ = first.partition("/")
    return top if slash else first.rpartition(".")[0] if len(files) == 1 else ""


def _clear(draft: Draft) -> None:
    remove_upload(Path(draft.pop("upload")))
    draft.pop("upload_name", None)
    draft.pop("upload_note", None)
    forget_corrections(draft)


def _check(draft: Draft) -> Path | None:
    root = find_root(draft)
    if root is None or root.is_dir():
        return root
    name = escape_markdown(str(root))
    if draft.get("place", BY_FOLDER) != BY_FOLDER:
        draft.pop("upload", None)
        renew_widgets()
        st.warning("The upload was removed in the meantime. Upload the images again.", icon=":material/folder_off:")
    elif root.is_file():
        folder = escape_markdown(str(root.parent))
        st.error(f"{name} is a file. Give the folder that it lies in: {folder}.", icon=":material/description:")
    else:
        st.error(
            f"There is no folder {name} on the computer that the lab runs on. Copy its address from the file manager, "
            "or upload the images.",
            icon=":material/folder_off:",
        )
    return None
