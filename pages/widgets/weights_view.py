"""The Weights page: what is here, and adding weights of others; which of the two is in the address."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.housekeeping.weights import SHELF, list_weights
from pages.widgets.lab import get_lab
from pages.widgets.weights_add import draw_add
from pages.widgets.weights_jobs import draw_job
from pages.widgets.weights_shelf import draw_empty, draw_others, draw_shelf
from pages.widgets.weights_uploads import sweep_uploads
from pages.widgets.wording import escape_markdown

TAB_KEY = "weights_tab"  # also its name in the address
HERE, ADD = "What is here", "Add weights"
ABOUT = (
    "What a model knows before it sees your images. The weights of radiology foundation models go on the shelf once, "
    "with every tensor accounted for; then *Train* and *Pre-train* offer them for their backbone."
)


def draw_page() -> None:
    """Everything below the title."""
    st.markdown(ABOUT)
    sweep_uploads()
    draw_job()
    here_tab, add_tab = st.tabs([HERE, ADD], key=TAB_KEY, bind="query-params")
    try:
        if here_tab.open:
            with here_tab:
                _draw_here()
        if add_tab.open:
            with add_tab:
                draw_add()
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="This cannot be shown", icon=":material/error:")


def _draw_here() -> None:
    rows = list_weights(get_lab().home)
    shelf = [row for row in rows if row.kind == SHELF]
    if shelf:
        draw_shelf(shelf)
    else:
        draw_empty(add={TAB_KEY: ADD})
    draw_others([row for row in rows if row.kind != SHELF])
