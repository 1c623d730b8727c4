"""The app's entry: `streamlit run app.py`. Page table, frame, and the page that the address names."""

import streamlit as st

from pages.widgets.frame import ASSETS, FRAME_KEY, HOME, build_pages, configure_window
from pages.widgets.sidebar import draw_sidebar
from pages.widgets.tour import draw_tour

configure_window()
page = st.navigation(build_pages())
st.session_state[FRAME_KEY] = True
st.logo(str(ASSETS / "logo.svg"), icon_image=str(ASSETS / "icon.png"), size="large")
st.html(ASSETS / "style.css")
draw_sidebar()
draw_tour(page.url_path or HOME)
page.run()
