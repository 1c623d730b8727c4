"""Data: choose a set, check and prepare it in the background, and read the report on it."""

import streamlit as st

from medpeft_core.datasets import DATASETS
from pages.widgets.data_card import choose_data, draw_about
from pages.widgets.data_report import draw_report
from pages.widgets.data_work import draw_work
from pages.widgets.frame import ensure_frame

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Data")
st.markdown("Choose a data set, have it checked and decoded once, and read what is in it before you train.")

data = choose_data()
draw_about(DATASETS[data["dataset"]])
report = draw_work(data)
if report is not None:
    draw_report(report)
