"""Sentences of the core on the Train page, with whatever names and paths stand in them shown as they are."""

import streamlit as st

from pages.widgets.wording import escape_markdown


def draw_problem(text: str, *, title: str) -> None:
    """What does not work, and what to do."""
    st.error(escape_markdown(text), title=title, icon=":material/error:")


def draw_warnings(sentences: list[str]) -> None:
    """What people should read before they wait for the run; nothing when there is nothing to say."""
    bullet = "- " if len(sentences) > 1 else ""
    if sentences:
        st.warning("\n".join(bullet + escape_markdown(sentence) for sentence in sentences), icon=":material/warning:")
