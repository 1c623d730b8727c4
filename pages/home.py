"""Home: what the lab is, the demo, the lessons, and the latest runs."""

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from pages.widgets.demo_card import draw_demo
from pages.widgets.frame import ensure_frame
from pages.widgets.lab import get_lab
from pages.widgets.latest_runs import draw_latest_runs
from pages.widgets.lesson_links import draw_lessons
from pages.widgets.own_draft import OWN_LINK
from pages.widgets.pretrain_notice import draw_pretrain_notice
from pages.widgets.wording import DISCLAIMER

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("MedPEFT Lab")
st.markdown(
    "Fine-tune vision models on medical images, with LoRA or with all their weights, and see what the difference is "
    "worth: every result has patient-level splits and confidence intervals. "
    "Training runs in the background of this computer, and nothing leaves it."
)
st.caption(DISCLAIMER)

draw_demo()
draw_lessons()
draw_pretrain_notice()

has_runs = bool(list_summaries(get_lab().store))
with st.container(horizontal=True, gap="small"):
    st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")
    st.page_link("pages/data.py", label="Look at the data", icon=":material/radiology:")
    st.page_link(
        "pages/data.py", label="Add your own images", icon=":material/add_photo_alternate:", query_params=OWN_LINK
    )
    st.page_link("pages/pretrain.py", label="Pre-train without labels", icon=":material/grid_view:")
    if has_runs:
        st.page_link("pages/compare.py", label="Compare runs", icon=":material/compare_arrows:")
        st.page_link("pages/explain.py", label="See where a model looked", icon=":material/visibility:")
        st.page_link("pages/predict.py", label="Try an image of your own", icon=":material/image_search:")

st.subheader("Latest runs")
draw_latest_runs()
