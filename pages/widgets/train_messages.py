"""Sentences of the core on the Train page, with whatever names and paths stand in them shown as they are."""

import re

import streamlit as st

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>$~#|!:])")


def write_plain(text: str) -> str:
    """`text` for a Markdown element, so that nothing in it is taken for formatting, a link or a picture."""
    return _MARKDOWN.sub(r"\\\1", text)


def draw_problem(text: str, *, title: str) -> None:
    """What does not work, and what to do."""
    st.error(write_plain(text), title=title, icon=":material/error:")


def draw_warnings(sentences: list[str]) -> None:
    """What people should read before they wait for the run; nothing when there is nothing to say."""
    bullet = "- " if len(sentences) > 1 else ""
    if sentences:
        st.warning("\n".join(bullet + write_plain(sentence) for sentence in sentences), icon=":material/warning:")
