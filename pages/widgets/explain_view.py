"""One test image: the pictures on the left, what the model says about it on the right."""

import streamlit as st

from medpeft_core.reports.predictions import Predictions
from medpeft_core.runs.run import Run
from pages.widgets.explain_cases import Case
from pages.widgets.explain_pictures import draw_pictures
from pages.widgets.explain_probs import draw_probs


def draw_case(run: Run, predictions: Predictions, case: Case) -> None:
    """The table is there at once, from stored predictions; the pictures follow.

    Raises:
        RunError: the run does not say where it comes from.
    """
    pictures, probs = st.columns([5, 4])
    with probs:
        st.markdown("**What the model says**")
        draw_probs(predictions, case.row, run)
    with pictures:
        draw_pictures(run.run_id, case)
