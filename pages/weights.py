"""Weights: what models can start from in this lab, where it came from, and adding files of others."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.weights_view import draw_page

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Weights")
draw_page()
