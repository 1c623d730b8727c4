"""The two faces of the Pre-train page: one pre-training, when the address names it; else all of them and the form."""

import streamlit as st

from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries
from medpeft_core.runs.run_ids import is_run_id
from pages.widgets.lab import get_lab
from pages.widgets.pretrain_actions import FORM_NOTE_KEY
from pages.widgets.pretrain_data import follow_address
from pages.widgets.pretrain_expert import draw_expert
from pages.widgets.pretrain_facts import draw_facts
from pages.widgets.pretrain_form import draw_form
from pages.widgets.pretrain_list import draw_pretrain_list
from pages.widgets.pretrain_plan import make_plan
from pages.widgets.pretrain_recipes import draw_recipes
from pages.widgets.pretrain_run import draw_pretraining
from pages.widgets.pretrain_start import draw_start
from pages.widgets.pretrain_trash import draw_pretrain_trash
from pages.widgets.run_picker import PARAMETER

SHOWN_KEY = "pretrain_shown"  # the run that the page showed last, or nothing for the list
WHAT_IT_IS = (
    "**Masked autoencoding.** The model hides three quarters of each radiograph from itself and learns to rebuild "
    "them; no labels are used, so every image you have can teach it what a chest looks like."
)
WHEN = (
    "You need it when you have many images and few labels, or no network to download weights: LoRA on random weights "
    "learns little, on an encoder that was pre-trained here it learns more."
)


def draw_page() -> None:
    """The page below its title."""
    run_id = st.query_params.get(PARAMETER)
    if run_id is not None and _find(run_id):
        _keep_address(run_id)
        st.page_link("pages/pretrain.py", label="All pre-trainings, and a new one", icon=":material/arrow_back:")
        draw_pretraining(run_id)
        return
    if run_id is not None:
        _draw_unknown(run_id)
    _keep_address("")
    st.markdown(f"{WHAT_IT_IS}  \n{WHEN}")
    if list_pretrain_summaries(get_lab().store):
        draw_pretrain_list()
    draw_pretrain_trash()
    _draw_new()


def _draw_new() -> None:
    """The form, the card beside it, and the bar below."""
    follow_address()
    st.subheader("New pre-training", anchor=False)
    if note := st.session_state.pop(FORM_NOTE_KEY, None):
        st.caption(f":material/content_copy: {note}")
    draw_recipes()
    plan = make_plan()
    form, card = st.columns([6, 5], gap="medium")
    with form:
        draw_form(plan)
        draw_expert()
    with card:
        draw_facts(plan)
    draw_start(plan)


def _keep_address(shown: str) -> None:
    """Tell the browser the address again when the page shows something else than before.

    After a link from the page to itself, such as those of the sidebar, it keeps the old one; a reload would go back.
    """
    before = st.session_state.get(SHOWN_KEY)
    st.session_state[SHOWN_KEY] = shown
    if before is not None and before != shown:
        st.query_params.from_dict(st.query_params.to_dict())


def _find(run_id: str) -> bool:
    return is_pretraining_id(run_id) and get_lab().store.folder_of(run_id).is_dir()


def _draw_unknown(wanted: str) -> None:
    """What is wrong with the address; its text is shown only when it is the name of a run."""
    if is_run_id(wanted) and not is_pretraining_id(wanted):
        st.warning(f"`{wanted}` is a fine-tuned run, no pre-training.", icon=":material/search_off:")
        st.page_link(
            "pages/monitor.py",
            label="Show it on Monitor",
            icon=":material/monitoring:",
            query_params={PARAMETER: wanted},
        )
    else:
        named = f"`{wanted}` " if is_run_id(wanted) else ""
        st.warning(
            f"The address names a pre-training {named}that is not here: it was deleted, or belongs to another lab.",
            icon=":material/search_off:",
        )
    del st.query_params[PARAMETER]
