"""Adding own images, from the folder to the prepared set: where they are, what the lab found, the name."""

import streamlit as st

from medpeft_core.datasets.own.proposal import Proposal
from medpeft_core.errors import MedPeftError
from pages.widgets.own_draft import Draft, get_draft, leave
from pages.widgets.own_found import draw_examples, draw_found, draw_labels
from pages.widgets.own_guide import draw_guide
from pages.widgets.own_jobs import draw_job
from pages.widgets.own_look import count_looks, look, look_again
from pages.widgets.own_published import draw_published
from pages.widgets.own_settings import draw_forms, draw_reading
from pages.widgets.own_shared import draw_shared
from pages.widgets.own_source import choose_source
from pages.widgets.own_start import draw_start
from pages.widgets.own_table import draw_columns
from pages.widgets.own_uploads import sweep_uploads
from pages.widgets.own_words import write_for_page
from pages.widgets.wording import DISCLAIMER, escape_markdown

INTRODUCTION = (
    "Show the lab where your images are. It looks at what is there and says how it would read it; you correct what it "
    "got wrong, and nothing is stored before you say so."
)


def draw_own() -> None:
    """The whole page below its title."""
    sweep_uploads()
    draft = get_draft()
    st.markdown(INTRODUCTION)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(DISCLAIMER, width="content")
        st.button("All data sets", key="own_leave", icon=":material/arrow_back:", type="tertiary", on_click=leave)
    if draw_job(draft):
        return
    root = choose_source(draft)
    if root is None:
        draw_guide()
        draw_shared()
        return
    draw_published(root, count_looks())
    try:
        proposal = look(root, draft)
    except MedPeftError as error:
        st.error(escape_markdown(write_for_page(str(error))), title="This cannot be read", icon=":material/error:")
        st.button("Look again", key="own_again", icon=":material/refresh:", on_click=look_again)
        draw_guide()
        return
    _draw_proposal(proposal, draft)
    draw_start(proposal, draft)


def _draw_proposal(proposal: Proposal, draft: Draft) -> None:
    with st.container(border=True, key="own_found"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("**2 · What the lab found**", width="content")
            st.button("Look again", key="own_again", icon=":material/refresh:", type="tertiary", on_click=look_again)
        draw_forms(proposal, draft)
        draw_found(proposal)
        draw_columns(proposal, draft)
        draw_reading(proposal, draft)
        if proposal.labels:
            st.markdown("**Classes**" if proposal.task == "multiclass" else "**Labels**")
            draw_labels(proposal)
        if proposal.examples:
            st.markdown("**Some of the images, with their labels**")
            draw_examples(proposal)
