"""Few labels: the first lesson, whether LoRA or full fine-tuning is better when labels are few."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.lesson_parts import draw_lesson_end, draw_question

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Few labels")
draw_question(
    "Is it better to train a few per cent of the weights, or all of them, when labels are few?",
    "Four ways of fine-tuning the same small vision transformer are measured on synthetic chest radiographs, with one, "
    "ten and a hundred per cent of the labels.",
    facts={"Data": "synthetic radiographs, drawn by this lab", "Command": "`python -m medpeft_core finding`"},
)
draw_lesson_end(is_synthetic=True)
