"""What did it learn?: the second lesson, a model that learns a side marker in place of a disease."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.lesson_shortcut_view import draw_page

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("What did it learn?")
draw_page()
