"""Choosing a run; the choice lives in the address as `?run=`, so that links, reloads and second windows agree."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.methods import METHODS
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.states import FINISHED, RUNNING
from pages.widgets.runs_table import DAMAGED_MARK, STATUS_MARKS

PARAMETER = "run"
LAST_KEY = "last_run"  # so that a reader who goes from page to page stays with a run


def pick_run(summaries: Sequence[dict[str, Any]], *, key: str, label: str = "Run") -> str | None:
    """Let the reader choose one of the runs.

    Without a run in the address the first running one is taken, else the one that was looked at last on any page, else
    the newest; the address then names it.

    Args:
        summaries: the runs to choose from, newest first, as `list_summaries` gives them; not empty.
        key: of the widget.
        label: for screen readers.

    Returns:
        The run's id; None when the address names a run that is not among them, which is said.
    """
    by_id = {item["run_id"]: item for item in order_runs(summaries)}
    wanted = st.query_params.get(PARAMETER)
    if wanted is None:
        wanted = next(iter(by_id))
        last = st.session_state.get(LAST_KEY)
        if by_id[wanted]["status"] != RUNNING and last in by_id:
            wanted = last
        st.query_params[PARAMETER] = wanted
    is_known = wanted in by_id
    if is_known:
        st.session_state[LAST_KEY] = wanted
    if not is_known:
        _draw_unknown(wanted)
    st.session_state[key] = wanted if is_known else None  # the address decides, also after a link or a step back
    return st.selectbox(
        label,
        list(by_id),
        index=None,
        format_func=lambda run_id: write_option(by_id[run_id]),
        key=key,
        on_change=_follow_choice,
        args=(key,),
        placeholder="Choose a run",
        required=True,
        label_visibility="collapsed",
    )


def turn_away_unfinished(summaries: Sequence[dict[str, Any]], *, verb: str) -> None:
    """Say why a run that the address names cannot be taken yet, lead to it, and forget it.

    Args:
        summaries: all runs of the lab.
        verb: what only a finished run can: "predict", "be explained".
    """
    statuses = {item["run_id"]: item["status"] for item in summaries}
    wanted = st.query_params.get(PARAMETER, "")
    if wanted not in statuses or statuses[wanted] == FINISHED or not is_run_id(wanted):
        return
    st.info(
        f"The run {wanted} is {statuses[wanted] or 'damaged'}. Only a finished run can {verb}: its best weights, "
        "predictions and thresholds are there then. Another run is shown.",
        icon=":material/hourglass_top:",
    )
    st.page_link(
        "pages/monitor.py", label=f"Watch {wanted}", icon=":material/monitoring:", query_params={PARAMETER: wanted}
    )
    del st.query_params[PARAMETER]


def lead_to_a_finished_run(*, has_runs: bool, wait: str, begin: str, icon: str) -> None:
    """For a page that needs a finished run and has none: what to wait for, or how to begin.

    Args:
        has_runs: whether there are runs that are not finished.
        wait: the sentence when there are.
        begin: the sentence when there are none.
        icon: beside it.
    """
    if has_runs:
        st.info(wait, icon=":material/hourglass_top:")
        st.page_link("pages/monitor.py", label="Watch the runs", icon=":material/monitoring:")
        return
    st.info(begin, icon=icon)
    with st.container(horizontal=True):
        st.page_link("pages/home.py", label="Start the demo", icon=":material/play_circle:")
        st.page_link("pages/train.py", label="Train a model", icon=":material/model_training:")


def order_runs(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Running ones first, the others as they come."""
    return sorted(summaries, key=lambda item: item["status"] != RUNNING)


def write_option(summary: dict[str, Any]) -> str:
    """One line for a list: mark and status, what was trained, when, and the end of the run's id."""
    run_id = summary["run_id"]
    mark = STATUS_MARKS.get(summary["status"], DAMAGED_MARK)
    return f"{mark} · {write_run_name(summary)} · {write_moment(run_id)} · {run_id[-4:]}"


def write_run_name(summary: dict[str, Any]) -> str:
    """What was trained, for people: "LoRA r8, ViT-Tiny, 25 % of phantom, seed 1"; the id of a damaged run."""
    if summary.get("method") is None:
        return summary["run_id"]
    method = METHODS[summary["method"]].title if summary["method"] in METHODS else summary["method"]
    rank = (summary.get("knobs") or {}).get("rank")
    backbone = BACKBONES[summary["backbone"]].title if summary["backbone"] in BACKBONES else summary["backbone"]
    fraction = summary["fraction"]
    data = summary["dataset"] if fraction == 1 else f"{100 * fraction:g} % of {summary['dataset']}"
    seed = f", seed {summary['seed']}" if summary.get("seed") else ""
    return f"{method}{f' r{rank}' if rank is not None else ''}, {backbone}, {data}{seed}"


def write_moment(run_id: str) -> str:
    """When a run was made, from its id: 2026-11-21 21:54."""
    return f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]} {run_id[9:11]}:{run_id[11:13]}"


def _follow_choice(key: str) -> None:
    chosen = st.session_state[key]
    if chosen:
        st.query_params[PARAMETER] = chosen


def _draw_unknown(wanted: str) -> None:
    named = f"`{wanted}` " if is_run_id(wanted) else ""  # any other text from an address stays unshown
    st.warning(
        f"The address names a run {named}that is not here: it was deleted, or belongs to another lab. "
        "Choose one of these runs. Compare lists what was deleted within the last week and brings it back.",
        icon=":material/search_off:",
    )
