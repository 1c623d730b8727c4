"""What can be done with a pre-training that has ended: mend or resume it, take its settings, delete it."""

from collections.abc import Sequence

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.run import Run
from medpeft_core.runs.trash import KEEP_DAYS
from pages.widgets.lab import get_lab
from pages.widgets.monitor_remedies import Remedy
from pages.widgets.pretrain_draft import copy_settings
from pages.widgets.pretrain_start import start_pretraining
from pages.widgets.run_picker import PARAMETER
from pages.widgets.wording import escape_markdown

FORM_NOTE_KEY = "pretrain_form_note"


def draw_pretrain_actions(run: Run, remedies: Sequence[Remedy]) -> None:
    """The buttons; the first remedy is the one to press. Not in a fragment, no callbacks: see `monitor_actions`."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for number, remedy in enumerate(remedies):
            if st.button(
                remedy.label,
                type="secondary" if number else "primary",
                icon=":material/play_arrow:" if remedy.action == "resume" else ":material/replay:",
                key=f"pretrain_remedy_{number}",
            ):
                _apply(run, remedy)
        if st.button("Copy its settings", icon=":material/content_copy:", type="tertiary", key="pretrain_copy"):
            copy_settings(run.pretrain_config())
            st.session_state[FORM_NOTE_KEY] = f"The form shows the settings of {run.run_id}."
            st.query_params.clear()
            st.rerun()
        if st.button("Delete", icon=":material/delete:", type="tertiary", key="pretrain_delete"):
            confirm_deletion(run.run_id)


@st.dialog("Delete this pre-training?", icon=":material/delete:")
def confirm_deletion(run_id: str) -> None:
    """Ask, and delete when told to."""
    st.markdown(
        f"It goes to the trash with its pictures and encoders; the *Pre-train* page brings it back for {KEEP_DAYS} "
        "days. Runs that started from its encoders keep weights of their own."
    )
    st.code(run_id, language=None)
    with st.container(horizontal=True):
        is_sure = st.button(
            "Delete it",
            type="primary",
            icon=":material/delete:",
            key="pretrain_delete_confirmed",
            on_click=_delete,
            args=(run_id,),
        )
        if st.button("Keep it", key="pretrain_delete_refused") or is_sure:
            st.rerun()  # closes the dialog


def _apply(run: Run, remedy: Remedy) -> None:
    try:
        if remedy.config is None:
            get_lab().store.requeue(run.run_id)
        else:
            start_pretraining(remedy.config.to_dict())
            st.query_params.clear()  # the job is shown beside the form, and leads on to the new one
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="That could not be done", icon=":material/error:")
        return
    st.rerun()


def _delete(run_id: str) -> None:
    try:
        get_lab().store.delete(run_id)
    except MedPeftError as error:
        st.toast(escape_markdown(str(error)), icon=":material/info:", duration="long")
        return
    st.query_params.pop(PARAMETER, None)
    st.toast("It was deleted. This page brings it back for a week.", icon=":material/delete:")
