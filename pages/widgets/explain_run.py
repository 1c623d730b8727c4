"""Which run to explain: a finished one, with what must be known about it before its maps are read."""

from typing import Any

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.states import FINISHED
from pages.widgets.lab import get_lab
from pages.widgets.monitor_results import NO_PATIENTS
from pages.widgets.run_picker import PARAMETER, pick_run
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, write_auroc


def choose_run() -> Run | None:
    """Let the reader pick one of the finished runs.

    Returns:
        The run; None when there is none yet or none was picked, which is said.

    Raises:
        RunError: the run's files are damaged.
    """
    store = get_lab().store
    summaries = list_summaries(store)
    finished = [item for item in summaries if item["status"] == FINISHED]
    if not finished:
        _draw_empty(has_runs=bool(summaries))
        return None
    _turn_away({item["run_id"]: item["status"] for item in summaries})
    run_id = pick_run(finished, key="explain_run")
    if run_id is None:
        return None
    run = store.load(run_id)
    _draw_notes(run.metrics() or {})
    return run


def _draw_notes(metrics: dict[str, Any]) -> None:
    """How good the run is, and what must be known about its data."""
    interval = (metrics.get("test_auroc"), metrics.get("test_auroc_low"), metrics.get("test_auroc_high"))
    notes = [f"Test AUROC, mean over the labels: {write_auroc(*interval)}", f"**{DISCLAIMER}**"]
    if metrics.get("is_synthetic"):
        notes.append(SYNTHETIC)
    if metrics.get("training", {}).get("num_train_patients") is None:
        notes.append(NO_PATIENTS)
    st.caption(" · ".join(notes))


def _turn_away(statuses: dict[str, str | None]) -> None:
    """Say why a run that the address names cannot be explained yet, and forget it."""
    wanted = st.query_params.get(PARAMETER, "")
    if wanted not in statuses or statuses[wanted] == FINISHED or not is_run_id(wanted):
        return
    st.info(
        f"The run {wanted} is {statuses[wanted] or 'damaged'}. Only a finished run can be explained: its best weights "
        "and its predictions are there then. Another run is shown.",
        icon=":material/hourglass_top:",
    )
    st.page_link(
        "pages/monitor.py", label=f"Watch {wanted}", icon=":material/monitoring:", query_params={"run": wanted}
    )
    del st.query_params[PARAMETER]


def _draw_empty(*, has_runs: bool) -> None:
    if has_runs:
        st.info(
            "No run is finished yet. Its test images can be explained as soon as one is.",
            icon=":material/hourglass_top:",
        )
        st.page_link("pages/monitor.py", label="Watch the runs", icon=":material/monitoring:")
        return
    st.info(
        "No runs yet. Train one, or start the demo on Home: a few minutes later you see here where it looks.",
        icon=":material/visibility_off:",
    )
    with st.container(horizontal=True):
        st.page_link("pages/home.py", label="Start the demo", icon=":material/play_circle:")
        st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")
