"""Monitor: running and queued runs, and one run from the queue to its result, live from its folder."""

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from pages.widgets.export_import import draw_import_button, draw_import_news
from pages.widgets.frame import ensure_frame
from pages.widgets.lab import get_lab
from pages.widgets.monitor_run import draw_run
from pages.widgets.monitor_work import draw_work
from pages.widgets.run_picker import pick_run

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Monitor")
summaries = list_summaries(get_lab().store)
if not summaries:
    draw_work(None)
    draw_import_news(None)
    if any(not job.is_finished for job in get_lab().jobs.list_jobs()):
        st.info("The runs appear here as soon as their images are there.", icon=":material/hourglass_top:")
        st.stop()
    st.info(
        "No runs yet. A run shows here from the moment it is queued: how far it is, its curves, its settings, its log.",
        icon=":material/hourglass_empty:",
    )
    with st.container(horizontal=True):
        st.page_link("pages/home.py", label="Start the demo on Home", icon=":material/science:")
        st.page_link("pages/train.py", label="Set up a run on Train", icon=":material/model_training:")
        draw_import_button()
    st.stop()

with st.container(horizontal=True, vertical_alignment="center", key="monitor_pick"):
    run_id = pick_run(summaries, key="monitor_run_id")
    draw_import_button()
draw_work(run_id)
draw_import_news(run_id)
if run_id is not None:
    draw_run(run_id)
