"""An export that lies in the lab: its files with their hashes, how exact it is, its download, and its removal."""

import shutil
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.exports.files import EXPORT_FILE, exports_dir, list_files
from medpeft_core.exports.spec import ExportSpec
from pages.widgets.lab import get_lab
from pages.widgets.wording import DISCLAIMER, escape_markdown, write_ago, write_bytes

MAX_DOWNLOAD_BYTES = 200 * 2**20  # Streamlit holds a download in the server's memory
HASH_LENGTH = 12
SHOWN_FILES = 8
LOADERS = ("load.py", "LOAD.md")
DISCLAIMER_END = "not for clinical use"  # of the note that says the same in the export's own words
NUM_COMPARED = 8  # images whose outputs are compared


def draw_result(run_id: str, spec: ExportSpec, made: dict[str, Any]) -> None:
    """What was made.

    Args:
        run_id: whose.
        spec: of its format.
        made: as `read_exports` gives it.
    """
    folder = Path(made["folder"])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{spec.title}**, {write_bytes(made.get('num_bytes'))}", width="content")
        st.caption(f"made {write_ago(made.get('created_at'))}", width="content")
    st.caption(f"{_write_exactness(made)}  \n**{DISCLAIMER}**")
    with st.container(gap="xxsmall"):
        _draw_files(made.get("files", []))
    notes = [str(note) for note in made.get("notes", []) if DISCLAIMER_END not in str(note)]
    if notes:
        st.caption("\n".join(f"- {escape_markdown(note)}" for note in notes))
    _draw_loader(folder)
    with st.container(horizontal=True, vertical_alignment="center"):
        _draw_download(run_id, spec, made, folder)
        if st.button("Remove", icon=":material/delete:", type="tertiary", key="monitor_export_remove"):
            _confirm_removal(run_id, spec.name, spec.title)
    st.caption("It lies in this folder of the computer that the lab runs on:")
    st.code(str(folder), language=None, wrap_lines=True)


def read_zip(folder: Path) -> bytes:
    """A folder as a zip, which is made in a nameless file on the disk; not packed, since weights hardly get smaller."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in [*list_files(folder), EXPORT_FILE]:
                archive.write(folder / name, name)
        file.seek(0)
        return file.read()


def _write_exactness(made: dict[str, Any]) -> str:
    difference = made.get("max_difference")
    if difference is None:
        return "It holds no model of its own, so no outputs were compared."
    if difference == 0:
        return f"Its logits are those of the lab, to the last digit, on {NUM_COMPARED} images."
    return f"Its logits differ from the lab's by at most {difference:.0e} on {NUM_COMPARED} images."


def _draw_files(files: list[dict[str, Any]]) -> None:
    for item in files[:SHOWN_FILES]:
        _draw_file(item)
    if rest := files[SHOWN_FILES:]:
        with st.expander(f"{len(rest)} more files"):
            for item in rest:
                _draw_file(item)


def _draw_file(item: dict[str, Any]) -> None:
    st.caption(
        f"`{_escape_code(str(item['name']))}` · {write_bytes(item['num_bytes'])} · "
        f"SHA-256 `{item['sha256'][:HASH_LENGTH]}…`",
        help=f"SHA-256 of the file: `{item['sha256']}`",
    )


def _escape_code(text: str) -> str:
    return text.replace("`", "'")


def _draw_loader(folder: Path) -> None:
    """The program that opens it elsewhere, to read and to copy."""
    path = next((folder / name for name in LOADERS if (folder / name).is_file()), None)
    if path is None:
        return
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # deleted a moment ago
        return
    with st.expander(f"How it is opened elsewhere: {path.name}", icon=":material/code:"):
        st.code(text, language="python" if path.suffix == ".py" else "markdown", wrap_lines=True)


def _draw_download(run_id: str, spec: ExportSpec, made: dict[str, Any], folder: Path) -> None:
    if made.get("num_bytes", 0) > MAX_DOWNLOAD_BYTES:
        st.caption(
            f":material/download: Too large for a download through the page ({write_bytes(MAX_DOWNLOAD_BYTES)} at "
            "most). Copy the folder below, for example with `scp -r`."
        )
        return
    files = made.get("files", [])
    is_one = len(files) == 1
    path = folder / files[0]["name"] if is_one else folder
    name = f"{run_id}-{path.name}" if is_one else f"{run_id}-{spec.name}.zip"
    st.download_button(
        "Download" if is_one else "Download as zip",
        data=path.read_bytes if is_one else partial(read_zip, folder),
        file_name=name,
        mime="application/zip" if name.endswith(".zip") else "application/octet-stream",
        type="primary",
        icon=":material/download:",
        key="monitor_export_download",
        on_click="ignore",
    )


@st.dialog("Remove this export?", icon=":material/delete:")
def _confirm_removal(run_id: str, name: str, title: str) -> None:
    st.markdown(f"The folder of *{title}* goes. The run stays as it is, and the export can be made again.")
    with st.container(horizontal=True):
        is_sure = st.button(
            "Remove it",
            type="primary",
            icon=":material/delete:",
            key="monitor_export_removed",
            on_click=_remove,
            args=(run_id, name),
        )
        if st.button("Keep it", key="monitor_export_kept") or is_sure:
            st.rerun()  # closes the dialog


def _remove(run_id: str, name: str) -> None:
    folder = exports_dir(get_lab().home) / run_id / name
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        st.toast(escape_markdown(f"It cannot be removed: {error}"), icon=":material/info:", duration="long")
        return
    st.toast("The export was removed.", icon=":material/delete:")
