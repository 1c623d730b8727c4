"""What stands beside every page: the device, what runs and waits, and what the lab is not for."""

import os
from typing import Any

import streamlit as st

from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries
from medpeft_core.worker.devices import list_devices
from pages.widgets.glossary import draw_glossary
from pages.widgets.lab import get_lab
from pages.widgets.pretrain_list import write_pretrain_name
from pages.widgets.run_picker import write_run_name
from pages.widgets.tour import draw_tour_button
from pages.widgets.wording import DISCLAIMER, STATUS_COLOURS, STATUS_ICONS, escape_markdown, write_bytes, write_duration

POLL_EVERY_S = 2.0
SHOWN_RUNNING = 3


def draw_sidebar() -> None:
    """Fill the sidebar below the menu."""
    with st.sidebar:
        _draw_work()
        _draw_devices()
        with st.container(horizontal=True, gap="small"):
            draw_glossary()
            draw_tour_button()
        st.caption(f":material/health_and_safety: **{DISCLAIMER}**")


@st.fragment(run_every=POLL_EVERY_S)
def _draw_work() -> None:
    """Running and queued runs, and running jobs; keeps itself up to date."""
    lab = get_lab()
    summaries = list_summaries(lab.store) + list_pretrain_summaries(lab.store)
    running = [item for item in summaries if item["status"] == "running"]
    num_queued = sum(item["status"] == "queued" for item in summaries)
    jobs = [job for job in lab.jobs.list_jobs() if not job.is_finished]
    if not running and not num_queued and not jobs:
        st.caption(":material/bedtime: Nothing is running.")
    for job in jobs[:SHOWN_RUNNING]:
        state = job.state()
        share = min(state.done / state.total, 1.0) if state.total else 0.0
        st.progress(share, text=f":material/inventory_2: {escape_markdown(job.title)}{_write_eta(state.eta_s)}")
    for item in running[:SHOWN_RUNNING]:
        share = min((item.get("step") or 0) / item["num_steps"], 1.0) if item.get("num_steps") else 0.0
        st.progress(share, text=f":material/play_circle: {item['phase'] or 'starting'}{_write_eta(item.get('eta_s'))}")
        _link(item)
    if num_queued:
        st.badge(f"{num_queued} in the queue", icon=STATUS_ICONS["queued"], color=STATUS_COLOURS["queued"])
    if lab.supervisor.problem:
        st.warning(
            f"Queued runs cannot be started: {escape_markdown(lab.supervisor.problem)}", icon=":material/warning:"
        )
    if lab.supervisor.role == "viewer" and (num_queued or running):
        st.caption("Another server of this lab starts the queued runs.")


def _link(item: dict[str, Any]) -> None:
    """To the page that shows the run live."""
    is_pretraining = is_pretraining_id(item["run_id"])
    name = write_pretrain_name(item) if is_pretraining else write_run_name(item)
    st.page_link(
        "pages/pretrain.py" if is_pretraining else "pages/monitor.py",
        label=escape_markdown(name),
        icon=":material/grid_view:" if is_pretraining else ":material/monitoring:",
        query_params={"run": item["run_id"]},
    )


def _draw_devices() -> None:
    lines = []
    for device in _find_devices():
        if device["name"] == "cpu":
            lines.append(f":material/memory: CPU, {os.cpu_count()} cores, {write_bytes(device['memory_bytes'])}")
        else:
            memory = f", {write_bytes(device['memory_bytes'])}" if device["memory_bytes"] else ""
            lines.append(f":material/developer_board: {device['title']} ({device['name']}){memory}")
    st.caption("  \n".join(lines))


@st.cache_data(ttl=300, show_spinner=False)
def _find_devices() -> list[dict]:
    return [
        {"name": device.name, "title": device.title, "memory_bytes": device.memory_bytes} for device in list_devices()
    ]


def _write_eta(eta_s: float | None) -> str:
    return f", about {write_duration(eta_s)} left" if eta_s else ""
