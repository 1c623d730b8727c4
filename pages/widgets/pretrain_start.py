"""Starting a pre-training: the bar at the bottom with its one button, the job that sets it up, and what came of it."""

import contextlib
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.errors import MedPeftError
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.pretrain_plan import PretrainPlan
from pages.widgets.run_picker import PARAMETER
from pages.widgets.train_messages import draw_problem
from pages.widgets.wording import write_duration

JOB_KIND = "pretrain"
JOB_KEY = "pretrain_job"  # the job of this visitor, whose end leads on to its run


def draw_start(plan: PretrainPlan) -> None:
    """The bar. Not in a fragment."""
    with st.bottom:
        is_starting = _follow_jobs()
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.text(_summarise(plan))
            if st.button(
                "Start pre-training",
                type="primary",
                icon=":material/play_arrow:",
                key="pretrain_start",
                disabled=not plan.can_start or is_starting,
            ):
                _start(plan)


def start_pretraining(config: dict[str, Any]) -> None:
    """Start the job that prepares the images, checks everything and queues the pre-training.

    Args:
        config: `PretrainConfig.to_dict()`.

    Raises:
        MedPeftError: a setting is wrong, or the disk is full; then there is no job.
    """
    name = config["encoder"]["name"]
    title = f"Setting up the pre-training of {BACKBONES[name].title if name in BACKBONES else name}"
    job = get_lab().jobs.start(JOB_KIND, title, configs=[config])
    st.session_state[JOB_KEY] = job.job_id


def _start(plan: PretrainPlan) -> None:
    if plan.config is None:
        return
    try:
        start_pretraining(plan.config.to_dict())
    except MedPeftError as error:
        draw_problem(str(error), title="Nothing was started")
        return
    st.rerun()


def _follow_jobs() -> bool:
    """The visitor's job until it leads on, and others that set pre-trainings up; whether one is at work."""
    own = _find_own()
    if own is not None and own.is_finished:
        run_ids = own.state().run_ids
        if run_ids:
            del st.session_state[JOB_KEY]
            st.query_params[PARAMETER] = run_ids[0]
            st.rerun()
        draw_ending(own)
    running = [job for job in get_lab().jobs.list_jobs() if job.kind == JOB_KIND and not job.is_finished]
    for job in running:
        follow_job(job, key=f"pretrain_job_{job.job_id}")
    return bool(running)


def _find_own() -> Any | None:
    job_id = st.session_state.get(JOB_KEY)
    if job_id is not None:
        with contextlib.suppress(MedPeftError):  # somebody has deleted it
            return get_lab().jobs.load(job_id)
        del st.session_state[JOB_KEY]
    return None


def _summarise(plan: PretrainPlan) -> str:
    """One line: what would be started, and how long it takes where that is known."""
    config = plan.config
    if config is None or not plan.can_start:
        return "There is a mistake in the settings; see above."
    name = config.encoder.name
    epochs = "1 epoch" if config.train.epochs == 1 else f"{config.train.epochs} epochs"
    parts = [f"{BACKBONES[name].title if name in BACKBONES else name}, {epochs}"]
    if plan.counts is not None:
        parts.append(f"{plan.counts.num_train:,} images")
    if plan.time_s is not None:
        parts.append(f"about {write_duration(plan.time_s)}")
    return ", ".join(parts)
