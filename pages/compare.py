"""Compare: all runs of the lab, and what sets those apart that are selected."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.listing import list_summaries
from pages.widgets.compare_actions import draw_actions
from pages.widgets.compare_filter import choose_runs
from pages.widgets.compare_guide import draw_empty, draw_hint
from pages.widgets.compare_selection import select_runs
from pages.widgets.compare_trash import draw_recently_deleted, draw_undo
from pages.widgets.compare_view import draw_comparison
from pages.widgets.frame import ensure_frame
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Compare")
st.markdown("Every run of this lab. Tick two or more to see what differs between them, and what it was worth.")

store = get_lab().store
draw_undo(store)
summaries = list_summaries(store)
if not summaries:
    draw_empty()
    draw_recently_deleted(store)
    st.stop()
shown, columns = choose_runs(summaries)
selected = select_runs(summaries, shown, columns=columns)
draw_actions(store, summaries, selected)
draw_hint(summaries, selected)
try:
    draw_comparison(store, summaries, selected)
except MedPeftError as error:
    st.error(escape_markdown(str(error)), title="These runs cannot be compared", icon=":material/error:")
draw_recently_deleted(store)
