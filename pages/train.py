"""Train: choose a run, see at once what it means, and start it in the background."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.train_card import draw_card
from pages.widgets.train_expert import draw_expert
from pages.widgets.train_form import draw_form
from pages.widgets.train_more import draw_more
from pages.widgets.train_plan import make_plan
from pages.widgets.train_presets import draw_presets, open_page
from pages.widgets.train_start import draw_start

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

open_page()
st.title("Train")
draw_presets()

plan = make_plan()
form, card = st.columns([6, 5], gap="medium")
with form:
    draw_form(plan)
    draw_expert(plan)
    draw_more(plan)
with card:
    draw_card(plan)
draw_start(plan)
