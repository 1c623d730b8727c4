"""The bar at the bottom of the Train page: what would be started, its one button, and what came of it."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.methods import METHODS
from medpeft_core.resolve import resolve_config
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.launching import start_runs
from pages.widgets.train_answers import forget_answers
from pages.widgets.train_messages import draw_problem
from pages.widgets.train_plan import Plan
from pages.widgets.wording import write_count, write_duration

START_BUTTON_KEY = "train_start"
OPENING_KEY = "train_is_opening"  # from coming to the page until it was drawn to its end once
WANTED_KEY = "train_wanted"  # what was clicked and has no answer yet
PROBLEM_KEY = "train_start_problem"
JOB_KEY = "train_job"


def draw_start(plan: Plan) -> None:
    """The bar; a click checks and queues the runs, and leads on to Monitor."""
    with st.bottom:
        _follow_job()
        _draw_last_problem(plan)
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.text(_summarise(plan))
            _draw_button(plan)
        st.session_state.pop(OPENING_KEY, None)
        if wanted := st.session_state.get(WANTED_KEY):
            _start(wanted)


def _draw_button(plan: Plan) -> None:
    configs = plan.grid.configs if plan.grid is not None else ()
    is_refused = plan.forecast is not None and plan.forecast.check.problem is not None
    st.button(
        f"Queue {len(configs)} runs" if len(configs) > 1 else "Start training",
        type="primary",
        icon=":material/play_arrow:",
        key=START_BUTTON_KEY,
        disabled=not configs or is_refused or WANTED_KEY in st.session_state,
        on_click=_want,
        args=(_to_dicts(configs), _name_runs(configs)),
    )


def forget_start() -> None:
    """On coming to the page: what was clicked before it was left was done then, and its end was told elsewhere."""
    st.session_state.pop(WANTED_KEY, None)
    st.session_state.pop(PROBLEM_KEY, None)


def _draw_last_problem(plan: Plan) -> None:
    """Why nothing was started, as long as the settings are those of that attempt."""
    configs, problem = st.session_state.get(PROBLEM_KEY, ([], ""))
    if problem and plan.grid is not None and configs == _to_dicts(plan.grid.configs):
        draw_problem(problem, title="Nothing was started")


def _to_dicts(configs: Sequence[RunConfig]) -> list[dict[str, Any]]:
    return [config.to_dict() for config in configs]


def _want(configs: list[dict[str, Any]], title: str) -> None:
    st.session_state.pop(PROBLEM_KEY, None)
    st.session_state.pop(JOB_KEY, None)
    st.session_state[WANTED_KEY] = (configs, title)


def _start(wanted: tuple[list[dict[str, Any]], str]) -> None:
    """Start what was clicked; a second click interrupts this and finds the answer to the first."""
    configs, title = wanted
    try:
        started = start_runs(configs, title=title)
    except MedPeftError as error:
        st.session_state[PROBLEM_KEY] = (configs, str(error))
        del st.session_state[WANTED_KEY]
        st.rerun()
    del st.session_state[WANTED_KEY]
    if started.run_ids:
        st.switch_page("pages/monitor.py", query_params={"run": started.run_ids[0]})
    st.session_state[JOB_KEY] = started.job_id
    st.rerun()


def _follow_job() -> None:
    """The job that prepares the data and then queues the runs; its end leads on to Monitor."""
    job_id = st.session_state.get(JOB_KEY)
    if job_id is None:
        return
    try:
        job = get_lab().jobs.load(job_id)
    except MedPeftError:  # somebody has deleted it
        del st.session_state[JOB_KEY]
        return
    run_ids = job.state().run_ids
    if job.is_finished and run_ids:
        del st.session_state[JOB_KEY]
        st.switch_page("pages/monitor.py", query_params={"run": run_ids[0]})
    if job.is_finished:
        draw_ending(job)
    else:
        follow_job(job, key="train_start_job", on_end=forget_answers)  # they said that the data were not there


def _summarise(plan: Plan) -> str:
    """One line: what would be started and how long it takes."""
    if plan.grid is None or plan.forecast is None:
        return "There is a mistake in the settings; see above."
    configs, check = plan.grid.configs, plan.forecast.check.value
    parts = [_name_runs(configs)]
    if check is not None and len(configs) == 1:
        parts.append(f"{write_count(check['num_trainable_params'])} trained parameters")
    if plan.time_s is not None:
        parts.append(f"about {write_duration(plan.time_s * len(configs))}")
    return ", ".join(parts)


def _name_runs(configs: Sequence[RunConfig]) -> str:
    """What the runs are called: LoRA of rank 8 on ViT-Tiny/16; 9 runs on ResNet-18."""
    if not configs:
        return ""
    method, name = configs[0].method, configs[0].backbone.name
    backbone = BACKBONES[name].title if name in BACKBONES else name
    if len(configs) > 1:
        return f"{len(configs)} runs on {backbone}"
    rank = resolve_config(configs[0]).method.knobs.get("rank")
    return METHODS[method.name].title + (f" of rank {rank}" if rank else "") + f" on {backbone}"
