"""The row above the table of runs: words, status, data set and method that a run must have to be shown."""

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from medpeft_core.methods import METHODS
from medpeft_core.runs.states import STATUSES
from pages.widgets.runs_table import DAMAGED_MARK, STATUS_MARKS

CHOICE_WIDTH = 165  # pixels; two stand side by side on a phone
SEARCHED = ("run_id", "dataset", "backbone", "method", "weights", "notes", "owner", "error")


def choose_runs(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw the filters that can tell these runs apart, and give the runs that pass."""
    statuses = [name for name in (*STATUSES, None) if any(item["status"] == name for item in summaries)]
    datasets = sorted({item["dataset"] for item in summaries if item.get("dataset")})
    methods = sorted({item["method"] for item in summaries if item.get("method")})
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    text = row.text_input(
        "Search",
        type="search",
        live=True,
        key="compare_search",
        icon=":material/search:",
        placeholder="Name, tag, note, backbone ...",
        persist_state="session",
    )
    chosen_statuses = row.multiselect(
        "Status",
        statuses,
        format_func=lambda name: STATUS_MARKS.get(name, DAMAGED_MARK),
        key="compare_status",
        placeholder="All",
        width=CHOICE_WIDTH,
        persist_state="session",
    )
    chosen_datasets = row.multiselect(
        "Data",
        datasets,
        key="compare_dataset",
        placeholder="All",
        width=CHOICE_WIDTH,
        persist_state="session",
    )
    chosen_methods = row.multiselect(
        "Method",
        methods,
        format_func=lambda name: METHODS[name].title if name in METHODS else name,
        key="compare_method",
        placeholder="All",
        width=CHOICE_WIDTH,
        persist_state="session",
    )
    return filter_runs(
        summaries, text=text or "", statuses=chosen_statuses, datasets=chosen_datasets, methods=chosen_methods
    )


def filter_runs(
    summaries: Sequence[dict[str, Any]],
    *,
    text: str = "",
    statuses: Iterable[str | None] = (),
    datasets: Iterable[str] = (),
    methods: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The runs that contain every word of the text and have one of the chosen values; nothing chosen means any."""
    words = text.casefold().split()
    allowed = {"status": set(statuses), "dataset": set(datasets), "method": set(methods)}
    return [
        item
        for item in summaries
        if all(not values or item.get(name) in values for name, values in allowed.items())
        and all(word in _write_searchable(item) for word in words)
    ]


def _write_searchable(summary: dict[str, Any]) -> str:
    rank = (summary.get("knobs") or {}).get("rank")
    texts = [str(summary.get(name) or "") for name in SEARCHED]
    return " ".join([*texts, *(summary.get("tags") or []), "" if rank is None else f"r{rank}"]).casefold()
