"""Starts runs from any page: at once through the compute process, or by a job that prepares their data first."""

import json
import time
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.widgets.lab import get_lab

CHECK_TIMEOUT_S = 120.0
LAUNCH_TIMEOUT_S = 900.0  # fifty large models are built one after another
DOUBLE_CLICK_S = 10.0  # the same runs again within this time are one click too many
LAST_KEY = "launching_last"


@dataclass(frozen=True, kw_only=True)
class Started:
    """What was started.

    Attributes:
        run_ids: the new runs, which are in the queue; empty while a job prepares their data.
        job_id: the job that prepares the data and then queues the runs, or None.
    """

    run_ids: tuple[str, ...]
    job_id: str | None


def start_runs(configs: list[dict[str, Any]], *, title: str) -> Started:
    """Check all runs, then queue all of them; shows a spinner until it is done.

    A second click on a button interrupts the script and comes here again; it gets the answer to the first.

    Args:
        configs: `RunConfig.to_dict()` of each run, resolved or not.
        title: what a job is called.

    Raises:
        MedPeftError: one of the runs cannot start; then none was made.
    """
    last = st.session_state.setdefault(LAST_KEY, {})
    request = json.dumps([configs, title], sort_keys=True)
    if last.get("request") == request and time.monotonic() - last["at"] < DOUBLE_CLICK_S:
        return last["started"]
    count = "the run" if len(configs) == 1 else f"{len(configs)} runs"
    with st.spinner(f"Checking and queueing {count}. The first time this takes some seconds."):
        started = _start(configs, title)
        # a plain dict: writing into the session could be interrupted by the second click, and forget the first
        last.update(request=request, started=started, at=time.monotonic())
    return started


def _start(configs: list[dict[str, Any]], title: str) -> Started:
    lab = get_lab()
    by_data = {json.dumps(config["data"], sort_keys=True): config for config in configs}
    checks = [lab.compute.request("check", timeout_s=CHECK_TIMEOUT_S, config=config) for config in by_data.values()]
    if not all(answer["is_prepared"] for answer in checks):
        job = lab.jobs.start("launch", title, configs=configs)
        return Started(run_ids=(), job_id=job.job_id)
    answer = lab.compute.request("launch", timeout_s=LAUNCH_TIMEOUT_S, configs=configs)
    return Started(run_ids=tuple(answer["run_ids"]), job_id=None)
