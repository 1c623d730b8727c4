"""Sending an export to the Hugging Face Hub: folded away, and only after somebody has said what will be seen there."""

from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.exports.spec import ExportSpec
from medpeft_core.runs.run import Run
from pages.widgets.export_jobs import find_jobs
from pages.widgets.job_progress import draw_ending
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_bytes

KIND = "push_export"
PATIENTS = "archive"  # holds the predictions of single patients


def draw_push(run: Run, spec: ExportSpec, made: dict[str, Any]) -> None:
    """The form, and how the last attempt ended.

    Args:
        run: whose export it is.
        spec: of its format.
        made: what is told of the export.
    """
    jobs = [job for job in find_jobs(KIND) if _is_about(job, run, spec)]
    if any(not job.is_finished for job in jobs):
        st.info("It is being sent; how far it is stands at the top of the page.", icon=":material/cloud_upload:")
        return
    with st.expander("Send it to the Hugging Face Hub", icon=":material/cloud_upload:", key="monitor_push"):
        repo_id = st.text_input(
            "Repository", placeholder="OWNER/NAME", key="monitor_push_repo", help="It is made where it is missing."
        ).strip()
        is_public = st.toggle(
            "Public, for everybody to see",
            key="monitor_push_public",
            disabled=spec.name == PATIENTS,
            help="An archive tells of single patients; it may go to a private repository only."
            if spec.name == PATIENTS
            else None,
        )
        is_private = not (is_public and spec.name != PATIENTS)
        who = "private" if is_private else "public"
        is_sure = st.checkbox(_write_consent(made, is_private=is_private), key=f"monitor_push_sure_{who}")
        st.caption(
            "It goes with the token that `hf auth login` keeps on the lab's computer. What the licence of the base "
            "weights and the terms of the data allow is for you to know. An upload that has begun cannot be stopped."
        )
        if st.button(
            "Send it",
            icon=":material/cloud_upload:",
            disabled=not (repo_id and is_sure),
            key="monitor_push_start",
        ):
            _start(run, spec, repo_id, is_private=is_private)
    _draw_last(jobs, made)


def _write_consent(made: dict[str, Any], *, is_private: bool) -> str:
    names = [str(item["name"]) for item in made.get("files", [])]
    files = escape_markdown(", ".join(names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    who = "whoever is invited there" if is_private else "**everybody on the internet**"
    size = write_bytes(made.get("num_bytes"))
    return f"I want {who} to see these {len(names)} files ({size}): {files}, and with them the run's figures."


def _is_about(job: Any, run: Run, spec: ExportSpec) -> bool:
    options = job.request().options or {}
    return (options.get("run_id"), options.get("format")) == (run.run_id, spec.name)


def _start(run: Run, spec: ExportSpec, repo_id: str, *, is_private: bool) -> None:
    options = {"run_id": run.run_id, "format": spec.name, "repo_id": repo_id, "private": is_private}
    try:
        get_lab().jobs.start(KIND, f"Sending {spec.title} of {run.run_id}", options=options)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.rerun()


def _draw_last(jobs: list[Any], made: dict[str, Any]) -> None:
    """How the last attempt with these very files ended."""
    last = next(iter(jobs), None)
    if last is None or last.state().updated_at < made.get("created_at", 0.0):
        return
    state = last.state()
    if state.status == "finished" and state.result is not None:
        address = str(state.result.get("address", ""))
        st.success("It is on the Hub:", icon=":material/cloud_done:")
        st.code(address, language=None, wrap_lines=True)
    else:
        draw_ending(last)
