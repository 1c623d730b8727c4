"""Predict: what a finished run says about own images, which stay in memory and are gone with the visit."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.arrow_focus import give_arrows_back
from pages.widgets.frame import ensure_frame
from pages.widgets.predict_answers import prepare
from pages.widgets.predict_run import choose_run
from pages.widgets.predict_uploads import choose_images
from pages.widgets.predict_view import draw_hint, draw_images
from pages.widgets.wording import escape_markdown

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Predict")
st.markdown("Upload images of your own: what a trained model says about each, and where it looked.")

try:
    run = choose_run()
    if run is not None:
        prepare(run)
        images = choose_images(run)
        if images:
            draw_images(run, images)
        else:
            draw_hint(run)
except MedPeftError as error:
    st.error(escape_markdown(str(error)), title="This run cannot predict", icon=":material/error:")
give_arrows_back(key="predict_arrow_focus")
