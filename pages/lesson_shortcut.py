"""What did it learn?: the second lesson, a model that learns a side marker in place of a disease."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.lesson_parts import draw_lesson_end, draw_question

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("What did it learn?")
draw_question(
    "A model finds an effusion in 9 of 10 images of its own hospital. Did it learn what an effusion looks like?",
    "In the images that it learns from, a side marker goes with the effusion.",
    facts={"Data": "synthetic radiographs, drawn by this lab"},
)
draw_lesson_end(is_synthetic=True)
