"""What can be done with a run: stop or cancel it, mend or resume it, copy, explain, compare, delete."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED, QUEUED, RunState
from medpeft_core.runs.trash import KEEP_DAYS
from pages.widgets.lab import get_lab
from pages.widgets.launching import start_runs
from pages.widgets.monitor_remedies import Remedy
from pages.widgets.run_picker import PARAMETER
from pages.widgets.wording import escape_markdown


def draw_stop(run: Run, state: RunState, *, is_asked: bool) -> None:
    """The button beside the line of a run at work; it needs no confirmation, since the run can be resumed.

    It has no callback and must not stand in a fragment: a server that was started a moment ago knows neither, and the
    click of a tab that has just found it would be lost.

    Args:
        run: queued or at work.
        state: of that run.
        is_asked: somebody has asked it to stop already.
    """
    is_queued = state.status == QUEUED
    label = "Cancel" if is_queued else "Stopping" if is_asked else "Stop"
    if st.button(
        label,
        icon=":material/close:" if is_queued else ":material/stop:",
        disabled=is_asked,
        key="monitor_stop",
        width="stretch",
        help="Takes it out of the queue; it can be put back later."
        if is_queued
        else "Stops after the present batch, with a checkpoint; it can be resumed.",
    ):
        request_stop(run.run_id)
        st.rerun()


def draw_actions(run: Run, state: RunState, remedies: Sequence[Remedy]) -> None:
    """Buttons and links for a run that has ended; the first remedy is the one to press."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for number, remedy in enumerate(remedies):
            if st.button(
                remedy.label,
                type="secondary" if number else "primary",
                icon=":material/play_arrow:" if remedy.action == "resume" else ":material/replay:",
                key=f"monitor_remedy_{number}",
            ):
                _apply(run, remedy)
        if state.status == FINISHED:
            _link("explain", "See where it looked", ":material/visibility:", {"run": run.run_id})
            _link("compare", "Compare", ":material/compare_arrows:", {"runs": run.run_id})
        if state.status == FINISHED:
            with st.container(key="monitor_to_export", width="content"):
                st.markdown("[:material/ios_share: Take it elsewhere](#export)", width="content")
        _link("train", "Copy its settings", ":material/content_copy:", {"copy": run.run_id})
        if st.button("Delete", icon=":material/delete:", type="tertiary", key="monitor_delete"):
            confirm_deletion(run.run_id)


@st.dialog("Delete this run?", icon=":material/delete:")
def confirm_deletion(run_id: str) -> None:
    """Ask, and delete when told to."""
    st.markdown(f"It goes to the trash, with all its files. *Compare* brings it back for {KEEP_DAYS} days.")
    st.code(run_id, language=None)
    with st.container(horizontal=True):
        is_sure = st.button(
            "Delete it",
            type="primary",
            icon=":material/delete:",
            key="monitor_delete_confirmed",
            on_click=_delete,
            args=(run_id,),
        )
        if st.button("Keep it", key="monitor_delete_refused") or is_sure:
            st.rerun()  # closes the dialog


def request_stop(run_id: str) -> None:
    """Ask a run to stop, or take it out of the queue; one that has just ended is left alone."""
    try:
        get_lab().store.request_stop(run_id)
    except MedPeftError as error:
        _tell(error)


def _apply(run: Run, remedy: Remedy) -> None:
    try:
        if remedy.config is None:
            get_lab().store.requeue(run.run_id)
        else:
            _launch(remedy.config.to_dict(), title=remedy.label)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="That could not be done", icon=":material/error:")
        return
    st.rerun()


def _launch(config: dict[str, Any], *, title: str) -> None:
    """Start the new run and go to it; while a job prepares its data, stay here, where the job is shown."""
    started = start_runs([config], title=title)
    if started.run_ids:
        st.query_params[PARAMETER] = started.run_ids[0]
    else:
        st.toast("The data are prepared first; then the run is set up.", icon=":material/inventory_2:", duration="long")


def _delete(run_id: str) -> None:
    try:
        get_lab().store.delete(run_id)
    except MedPeftError as error:
        _tell(error)
        return
    st.query_params.pop(PARAMETER, None)
    st.toast("The run was deleted. Compare lists it and brings it back for a week.", icon=":material/delete:")


def _tell(error: MedPeftError) -> None:
    """Say why a click had no effect; the page is drawn right after, and shows how things are now."""
    st.toast(escape_markdown(str(error)), icon=":material/info:", duration="long")


def _link(page: str, label: str, icon: str, query_params: dict[str, str]) -> None:
    st.page_link(f"pages/{page}.py", label=label, icon=icon, query_params=query_params)
