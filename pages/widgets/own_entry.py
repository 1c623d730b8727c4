"""The way from the Data page to adding own images, and back to what was begun there."""

import streamlit as st

from pages.widgets.own_draft import find_root, get_draft, open_adding


def draw_entry(introduction: str) -> None:
    """What the page is for, and the button.

    Args:
        introduction: one sentence, Markdown.
    """
    is_begun = find_root(get_draft()) is not None or "job_id" in get_draft()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(introduction, width="stretch")
        st.button(
            "Go on adding your images" if is_begun else "Add your own images",
            key="data_own",
            icon=":material/add_photo_alternate:",
            on_click=open_adding,
        )
