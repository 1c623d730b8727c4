"""One test image: the pictures, and what the models say about it."""

import streamlit as st

from pages.widgets.class_probs import draw_class_pair, draw_class_probs
from pages.widgets.explain_cases import Case
from pages.widgets.explain_pictures import draw_pictures
from pages.widgets.explain_probs import draw_pair_probs, draw_probs, read_prevalence
from pages.widgets.explain_run import Chosen
from pages.widgets.model_notes import draw_label_scores


def draw_case(chosen: Chosen, case: Case) -> None:
    """The table is there at once, from stored predictions; the pictures follow.

    Raises:
        RunError: the run does not say where it comes from.
    """
    if chosen.pair is not None:
        draw_pictures(chosen, case)
        st.markdown("**What the two models say**")
        draw_label_scores([run.metrics() or {} for run in (chosen.run, chosen.second) if run is not None], case.label)
        (draw_class_pair if chosen.predictions.is_exclusive else draw_pair_probs)(chosen.pair, case.row, chosen.names)
        return
    pictures, probs = st.columns([13, 12])
    with probs:
        st.markdown("**What the model says**")
        draw_label_scores([chosen.run.metrics() or {}], case.label)
        with st.container(key="explain_table"):
            if chosen.predictions.is_exclusive:
                prevalence = read_prevalence(chosen.run)
                draw_class_probs(chosen.predictions, case.row, prevalence, key="explain_probs")
            else:
                draw_probs(chosen.predictions, case.row, chosen.run)
    with pictures:
        draw_pictures(chosen, case)
