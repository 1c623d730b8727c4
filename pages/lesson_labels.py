"""Few labels: the first lesson, whether LoRA or full fine-tuning is better when labels are few."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.lesson_labels_view import draw_page

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Few labels: LoRA or full fine-tuning?")
draw_page()
