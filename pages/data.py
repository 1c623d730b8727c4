"""Data: choose a set, have it prepared in the background, and read what is in it: in words, charts and images."""

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.resolve import resolve_data
from medpeft_core.sections import build_part
from pages.widgets.data_card import draw_about
from pages.widgets.data_choice import choose_data
from pages.widgets.data_state import find_known
from pages.widgets.data_view import draw_view
from pages.widgets.data_work import draw_work
from pages.widgets.frame import ensure_frame
from pages.widgets.own_draft import is_adding
from pages.widgets.own_entry import draw_entry
from pages.widgets.own_stored import draw_stored
from pages.widgets.own_view import draw_own
from pages.widgets.wording import escape_markdown

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

if is_adding():
    st.title("Add your own images")
    draw_own()
    st.stop()

st.title("Data")
draw_entry("Choose a data set, have it checked and decoded once, and look at what is in it before you train.")

try:
    chosen = {name: value for name, value in choose_data().items() if value is not None}
    data = resolve_data(build_part(DataConfig, chosen, section="data"))
except MedPeftError as error:
    st.error(escape_markdown(str(error)), icon=":material/error:")
    st.stop()
view, problem = None, ""
try:
    if data.root or not DATASETS[data.dataset].needs_root:
        view = find_known(data)
except MedPeftError as error:  # a folder that is not this set: the card tells what belongs into it
    problem = str(error)
draw_about(data, is_prepared=view is not None)
draw_work(data, view, problem=problem)
draw_stored(data)
if view is not None:
    draw_view(view)
