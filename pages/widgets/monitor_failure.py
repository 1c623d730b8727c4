"""What happened to a run that failed or was interrupted, in a box and with the technical details folded away."""

import streamlit as st

from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FAILED, RunState
from pages.widgets.monitor_remedies import Diagnosis
from pages.widgets.wording import escape_markdown


def draw_failure(state: RunState, diagnosis: Diagnosis) -> None:
    """The box about the end of the run; its buttons are drawn with the other actions."""
    text = escape_markdown(state.error or "It left no message; the log may tell more.")
    body = f"{text}\n\n{diagnosis.advice}" if diagnosis.advice else text
    if state.status == FAILED:
        st.error(body, title=diagnosis.title, icon=":material/error:")
    else:
        st.warning(body, title=diagnosis.title, icon=":material/power_off:")


def draw_traceback(run: Run) -> None:
    """Where in the code it happened, for those who report it; nothing when that is not known."""
    traces = [event["traceback"] for event in run.events() if event["type"] == "error" and event.get("traceback")]
    if traces:
        with st.expander("Technical details", icon=":material/bug_report:"):
            st.code(traces[-1], language=None, wrap_lines=True)
