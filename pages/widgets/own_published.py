"""The hint that somebody's own images are a published set, which is better read by its own reader."""

import functools
from pathlib import Path

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.own.recognising import recognise
from pages.widgets.data_choice import show_set
from pages.widgets.own_draft import leave
from pages.widgets.wording import escape_markdown

HINT = (
    "This looks like {title} as it is published. The lab has a reader for it, which knows its labels, its split and "
    "its oddities."
)


def draw_published(root: Path, revision: int) -> None:
    """The hint with its button; nothing for images that are nobody's but the visitor's.

    Args:
        root: folder of the images.
        revision: another number looks again.
    """
    for name in _recognise(str(root), revision):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            title = escape_markdown(DATASETS[name].title)
            st.markdown(f":material/verified: {HINT.format(title=title)}", width="stretch")
            st.button(
                "Read it as that",
                key=f"own_published_{name}",
                icon=":material/arrow_forward:",
                on_click=functools.partial(_take, name, str(root)),
            )


def _take(name: str, root: str) -> None:
    leave()
    show_set({"dataset": name, "root": root})


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _recognise(root: str, revision: int) -> list[str]:
    return recognise(Path(root))
