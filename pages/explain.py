"""Explain: what a finished run, or two of them, says about a test image, and where it looked."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.arrow_focus import give_arrows_back
from pages.widgets.explain_cases import choose_case
from pages.widgets.explain_run import choose_runs
from pages.widgets.explain_view import draw_case
from pages.widgets.frame import ensure_frame
from pages.widgets.wording import escape_markdown

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Explain")
with st.container(key="explain_intro"):
    st.markdown(
        "Page through the test images of a run: what the model says about each, what is true, and where it looked."
    )

try:
    chosen = choose_runs()
    if chosen is not None:
        case = choose_case(chosen)
        if case is not None:
            draw_case(chosen, case)
except MedPeftError as error:
    st.error(escape_markdown(str(error)), title="The results of this run cannot be read", icon=":material/error:")
give_arrows_back(key="explain_arrow_focus")
