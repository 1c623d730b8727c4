"""One test image: the pictures, and what the models say about it."""

import streamlit as st

from pages.widgets.explain_cases import Case
from pages.widgets.explain_pictures import draw_pictures
from pages.widgets.explain_probs import draw_pair_probs, draw_probs
from pages.widgets.explain_run import Chosen


def draw_case(chosen: Chosen, case: Case) -> None:
    """The table is there at once, from stored predictions; the pictures follow.

    Raises:
        RunError: the run does not say where it comes from.
    """
    if chosen.pair is not None:
        draw_pictures(chosen, case)
        st.markdown("**What the two models say**")
        draw_pair_probs(chosen.pair, case.row, chosen.names)
        return
    pictures, probs = st.columns([5, 4])
    with probs:
        st.markdown("**What the model says**")
        draw_probs(chosen.predictions, case.row, chosen.run)
    with pictures:
        draw_pictures(chosen, case)
