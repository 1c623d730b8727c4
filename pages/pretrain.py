"""Pre-train: start masked autoencoding, watch it learn, and take its encoders to Train."""

import streamlit as st

from pages.widgets.frame import ensure_frame
from pages.widgets.pretrain_view import draw_page

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Pre-train")
draw_page()
