"""What is at work in the lab besides the shown run: running and queued runs, and jobs that prepare data or runs."""

import contextlib
from typing import Any

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import QUEUED, RunState
from pages.widgets.export_jobs import find_export_jobs
from pages.widgets.job_progress import follow_job
from pages.widgets.lab import get_lab
from pages.widgets.monitor_actions import request_stop
from pages.widgets.pretrain_list import write_pretrain_name
from pages.widgets.run_picker import PARAMETER, write_run_name
from pages.widgets.run_status import ACTIVE, draw_status_chip
from pages.widgets.wording import escape_markdown, write_duration

POLL_ACTIVE_S, POLL_IDLE_S = 2.0, 5.0
MAX_SHOWN = 4


def draw_work(shown_run_id: str | None) -> None:
    """The list, which keeps itself up to date; nothing is shown when the shown run is all there is.

    Args:
        shown_run_id: the run that the rest of the page is about; when it begins to work, the page is drawn anew.
    """
    active, jobs = _find_active(), _find_jobs(shown_run_id)
    has_others = bool(jobs) or any(item["run_id"] != shown_run_id for item in active)
    with st.container(border=has_others):
        if has_others:
            st.markdown("**At work in this lab**")
        for job in jobs:
            follow_job(job, key=f"monitor_job_{job.job_id}")
        st.fragment(_draw_list, run_every=POLL_ACTIVE_S if active or jobs else POLL_IDLE_S)(
            shown_run_id, drawn=_outline(shown_run_id, active, jobs)
        )


def describe_wait(run: Run, state: RunState) -> str:
    """What a queued run waits for, in a sentence or two."""
    lab = get_lab()
    device = state.device or "the device"
    if state.pid is not None:
        return f"A command line waits for {device} with it and starts it."
    try:
        places = [item.run_id for item in lab.store.index.queued() if item.device == state.device]
        holder = lab.store.index.device_holder(device)
    except RunError as error:
        return escape_markdown(str(error))
    place = (
        f"Position {places.index(run.run_id) + 1} of {len(places)} in the queue for {device}."
        if (run.run_id in places)
        else "It is about to start."
    )
    waits = f" The run `{holder.run_id}` is at work there now." if holder and holder.run_id != run.run_id else ""
    return place + waits + _describe_starter()


def _describe_starter() -> str:
    supervisor = get_lab().supervisor
    if supervisor.role == "viewer":
        return " Another server of this lab, or `python -m medpeft_core supervise`, starts the queued runs."
    return ""


def _find_active() -> list[dict[str, Any]]:
    """Running runs, then the queue in its order."""
    lab = get_lab()
    both = list_summaries(lab.store) + list_pretrain_summaries(lab.store)
    active = [item for item in both if item["status"] in ACTIVE]
    places: dict[str, int] = {}
    with contextlib.suppress(RunError):  # the sidebar says why the index cannot be used
        places = {item.run_id: place for place, item in enumerate(lab.store.index.queued(), start=1)}
    return sorted(active, key=lambda item: places.get(item["run_id"], 0))


def _find_jobs(shown_run_id: str | None) -> list[Any]:
    """Jobs at work, without those that the page tells of at the run that they export."""
    own = {job.job_id for job in find_export_jobs(shown_run_id)} if shown_run_id is not None else set()
    return [job for job in get_lab().jobs.list_jobs() if not job.is_finished and job.job_id not in own]


def _outline(shown_run_id: str | None, active: list[dict[str, Any]], jobs: list[Any]) -> tuple[Any, ...]:
    """What the rest of the page was drawn by: when it changes, the page is drawn anew."""
    others = [item for item in active if item["run_id"] != shown_run_id]
    return bool(others), len(others) < len(active), [job.job_id for job in jobs]


def _draw_list(shown_run_id: str | None, *, drawn: tuple[Any, ...]) -> None:
    active = _find_active()
    if _outline(shown_run_id, active, _find_jobs(shown_run_id)) != drawn:
        st.rerun()
    others = [item for item in active if item["run_id"] != shown_run_id]
    for item in others[:MAX_SHOWN]:
        _draw_run(item)
    if rest := others[MAX_SHOWN:]:
        with st.expander(f"{len(rest)} more", key="monitor_more_work"):
            for item in rest:
                _draw_run(item)


def _draw_run(item: dict[str, Any]) -> None:
    run_id = item["run_id"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"monitor_work_{run_id}"):
        draw_status_chip(item["status"])
        if is_pretraining_id(run_id):
            st.page_link("pages/pretrain.py", label=write_pretrain_name(item), query_params={PARAMETER: run_id})
        else:
            st.page_link("pages/monitor.py", label=write_run_name(item), query_params={PARAMETER: run_id})
        st.caption(_describe_progress(item), width="content")
        if item["status"] == QUEUED:
            st.button(
                "Cancel",
                key=f"monitor_cancel_{run_id}",
                type="tertiary",
                icon=":material/close:",
                on_click=request_stop,
                args=(run_id,),
            )


def _describe_progress(item: dict[str, Any]) -> str:
    if item["status"] == QUEUED:
        return f"waits for {item['device']}"
    eta = f", about {write_duration(item['eta_s'])} left" if item.get("eta_s") else ""
    return f"{item['phase'] or 'starting'}{eta}"
