"""Filling the whole form at once: from a preset, from a cell of a paper, from a run, or from the page's address."""

from collections.abc import Callable

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.presets import PRESETS
from medpeft_core.runs.run_ids import check_run_id
from pages.widgets.data_choice import UNKNOWN_SET, list_changed_options
from pages.widgets.data_sets import DATA_PARAMETER, find_section
from pages.widgets.lab import get_lab
from pages.widgets.method_list import close_method_list
from pages.widgets.pretrain_handover import is_encoder_named, take_encoder
from pages.widgets.settings_form import bind
from pages.widgets.train_answers import forget_answers
from pages.widgets.train_draft import Draft, copy_run, describe_copy, find_preset, get_draft, use_data, use_preset
from pages.widgets.train_form import choose_dataset
from pages.widgets.train_messages import draw_problem
from pages.widgets.train_papers import describe_cell, draw_papers
from pages.widgets.train_start import OPENING_KEY, START_BUTTON_KEY, forget_start
from pages.widgets.weights_handover import WEIGHTS_PARAMETER, take_from_address
from pages.widgets.wording import escape_markdown

PROBLEM_KEY = "train_copy_problem"


def open_page() -> None:
    """On coming here: wake the compute process, look at the data anew, and fill the form as the address says.

    The address is `?copy=RUN`, `?data=KEY` of a data set, `?dataset=NAME`, `?encoder=RUN&epoch=N` of a pre-training, or
    `?weights=NAME` of the shelf; it is cleared, or it would undo every change of the form.
    """
    is_new = START_BUTTON_KEY not in st.session_state  # a widget's state goes when its page is left
    if is_new and OPENING_KEY not in st.session_state:  # an answer that comes while the page is drawn restarts it
        st.session_state[OPENING_KEY] = True
        get_lab().compute.warm_up()
        forget_answers()
        forget_start()
        close_method_list()
        st.session_state.pop(PROBLEM_KEY, None)
    run_id, dataset, key = (st.query_params.get(name) for name in ("copy", "dataset", DATA_PARAMETER))
    if run_id is not None:
        del st.query_params["copy"]
        _copy(run_id)
    if dataset is not None:
        del st.query_params["dataset"]
        if dataset in DATASETS:
            choose_dataset(get_draft()["data"], dataset)
    if key is not None:
        del st.query_params[DATA_PARAMETER]
        _use_data(key)
    if is_encoder_named():
        _take(take_encoder, ":material/grid_view:")
    if WEIGHTS_PARAMETER in st.query_params:
        _take(take_from_address, ":material/database:")


def draw_presets() -> None:
    """The presets and the list of runs to copy from."""
    chosen = find_preset(get_draft())
    key = f"train_preset_{chosen}"  # another widget for another choice, since settings change what is chosen
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Preset",
            list(PRESETS),
            format_func=lambda name: PRESETS[name].title,
            default=chosen,
            required=chosen is not None,
            help="How long and how thoroughly the run trains; everything else stays as you chose it.",
            key=key,
            on_change=_use_preset,
            args=(key,),
        )
        with st.popover("Copy settings from a run", icon=":material/content_copy:"):
            _draw_runs()
        draw_papers()
    if problem := st.session_state.get(PROBLEM_KEY):
        draw_problem(problem, title="The settings could not be taken over")
    about_cell, about_preset = describe_cell(), None
    if chosen is not None:
        about_preset = PRESETS[chosen].description
    elif about_cell is None:
        about_preset = "Own settings: they differ from each preset."
    st.caption("  \n".join(note for note in (about_preset, about_cell, describe_copy()) if note is not None))


def _draw_runs() -> None:
    run_ids = [run.run_id for run in get_lab().store.list_runs()]
    if not run_ids:
        st.caption("There are no runs yet.")
        return
    chosen: dict[str, str] = {}  # a choice is an act, not a state
    st.selectbox(
        "Run",
        run_ids,
        index=None,
        placeholder="Choose a run",
        width=360,
        **bind(chosen, "run_id", key="train_copy_run", after=lambda: _copy(chosen["run_id"])),
    )


def _use_preset(key: str) -> None:
    if (name := st.session_state[key]) is not None:
        use_preset(name)


def _use_data(key: str) -> None:
    section = find_section(key)
    if section is None:
        st.session_state[PROBLEM_KEY] = UNKNOWN_SET
        return
    use_data({"split_seed": 0, **section, "options": list_changed_options(section)})
    st.session_state.pop(PROBLEM_KEY, None)


def _take(take: Callable[[Draft], str], icon: str) -> None:
    try:
        st.toast(escape_markdown(take(get_draft())), icon=icon, duration="long")
        st.session_state.pop(PROBLEM_KEY, None)
    except MedPeftError as error:
        st.session_state[PROBLEM_KEY] = str(error)


def _copy(run_id: str) -> None:
    try:
        check_run_id(run_id)
        copy_run(run_id, get_lab().store.load(run_id).config())
        st.session_state.pop(PROBLEM_KEY, None)
    except MedPeftError as error:
        st.session_state[PROBLEM_KEY] = str(error)
