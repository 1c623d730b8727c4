"""Weights from Hugging Face: first what lies there, how large and under which licence; then a download by a click."""

from collections.abc import Callable

import streamlit as st

from pages.widgets.weights_draft import Draft


def draw_hub(draft: Draft, *, draw_choices: Callable[[], None]) -> None:
    """To come."""
    st.caption("to come")
    draw_choices()
