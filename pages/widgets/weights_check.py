"""The check of a file before it is added: what becomes of each tensor; nothing loads silently half."""

from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets import weights_jobs
from pages.widgets.weights_answers import ask, find_answer, wait_for
from pages.widgets.weights_draft import Draft, describe_choices, find_name_problem, suggest_name
from pages.widgets.weights_report import count_faults, draw_report
from pages.widgets.weights_uploads import keep_upload
from pages.widgets.wording import escape_markdown

INSPECT = "inspect_weights"
KEPT_KEY = "weights_kept_upload"  # the upload that was written last, and where
FAULTY = (
    "{count} this file from being loaded, the first is `{first}`. Nothing is added half: choose another backbone "
    "or layout, or another file."
)


def draw_check(draft: Draft, *, upload: Any) -> None:
    """The two buttons, and between them what the file holds.

    Args:
        draft: the choices.
        upload: a file from the browser, or None when the draft has a path or nothing was given yet.
    """
    st.markdown("**4** Check, then add")
    is_given = upload is not None or ("path" in draft and draft["place"] == "path")
    path = _find_path(draft, upload)
    request = _build_request(draft, path) if path is not None else None
    answer = find_answer(INSPECT, request) if request is not None else None
    with st.container(horizontal=True, vertical_alignment="center"):
        is_asked = st.button(
            "Check the file",
            type="secondary" if answer is not None else "primary",
            icon=":material/fact_check:",
            disabled=answer is not None and answer.is_pending,
            key="weights_check",
            help="Reads the file in the background and compares it with the backbone. Nothing is stored.",
        )
    if is_asked and not is_given:
        st.error("Give a file first.", icon=":material/folder_open:")
    elif is_asked:
        _ask(draft, upload)
    if answer is None:
        return
    if answer.problem is not None:
        st.error(escape_markdown(answer.problem), title="This file was refused", icon=":material/block:")
    elif answer.value is None:
        wait_for(INSPECT, "Reading the file and comparing it with the backbone; a large one takes a minute.")
    else:
        draw_report(answer.value, key="weights_report")
        _draw_add(draft, str(path), answer.value, upload=upload)


def _find_path(draft: Draft, upload: Any) -> str | None:
    """Where the file lies that a check is about; an upload lies there once it was checked."""
    if upload is None:
        return draft.get("path") if draft["place"] == "path" else None
    file_id, path = st.session_state.get(KEPT_KEY, ("", ""))
    return path if file_id == upload.file_id and Path(path).is_file() else None


def _ask(draft: Draft, upload: Any) -> None:
    try:
        if upload is not None and _find_path(draft, upload) is None:
            st.session_state[KEPT_KEY] = (upload.file_id, str(keep_upload(upload)))
            if not draft.get("name"):
                draft["name"] = suggest_name(Path(str(upload.name)).stem)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    ask(INSPECT, _build_request(draft, str(_find_path(draft, upload))))
    st.rerun()


def _build_request(draft: Draft, path: str) -> dict[str, Any]:
    choices = describe_choices(draft)
    return {"path": path, "backbone": choices["backbone"], "layout": choices["layout"]}


def _draw_add(draft: Draft, path: str, report: dict[str, Any], *, upload: Any) -> None:
    num_faults = count_faults(report)
    if num_faults:
        first = report["rows"][0]
        name = str(first["source"] or first["target"]).replace("`", "'")
        count = "1 tensor keeps" if num_faults == 1 else f"{num_faults} tensors keep"
        st.error(FAULTY.format(count=count, first=name), icon=":material/block:")
        return
    problem = find_name_problem(draft.get("name", ""))
    if problem is not None:
        st.warning(problem, icon=":material/label:")
    if not draft.get("licence"):
        st.caption(":material/gavel: No licence is stated. You may add them; look up what you are allowed to do.")
    if st.button(
        "Add to the shelf",
        type="primary",
        icon=":material/add:",
        disabled=problem is not None or weights_jobs.is_at_work(),
        key="weights_add",
    ):
        original = {"file_name": str(upload.name)} if upload is not None else {}
        weights_jobs.start(draft["name"], {"source": path, **original, **describe_choices(draft)})
