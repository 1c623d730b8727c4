"""The row above the table of runs: words, status, data set, method and tags that a run must have to be shown."""

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from medpeft_core.methods import METHODS
from medpeft_core.runs.states import STATUSES
from pages.widgets.compare_columns import choose_columns
from pages.widgets.runs_table import DAMAGED_MARK, STATUS_MARKS

CHOICE_WIDTH = 140  # pixels; two stand side by side on a phone, and all of them in one row on a laptop
SEARCHED = ("run_id", "dataset", "backbone", "method", "weights", "notes", "owner", "error")


def choose_runs(summaries: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Draw the filters that can tell these runs apart, and the menu of columns.

    Returns:
        The runs that pass, and the columns of their table.
    """
    statuses = [name for name in (*STATUSES, None) if any(item["status"] == name for item in summaries)]
    datasets = sorted({item["dataset"] for item in summaries if item.get("dataset")})
    methods = sorted({item["method"] for item in summaries if item.get("method")})
    tags = list_tags(summaries)
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
    chosen_tags = []
    if tags:
        chosen_tags = row.multiselect(
            "Tag",
            tags,
            key="compare_tag",
            placeholder="All",
            width=CHOICE_WIDTH,
            persist_state="session",
            help="Runs with one of these tags.",
        )
    with row:
        columns = choose_columns()
    shown = filter_runs(
        summaries,
        text=text or "",
        statuses=chosen_statuses,
        datasets=chosen_datasets,
        methods=chosen_methods,
        tags=chosen_tags,
    )
    return shown, columns


def list_tags(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """Every tag of these runs, once, by the alphabet."""
    return sorted({tag for item in summaries for tag in item.get("tags") or ()}, key=str.casefold)


def filter_runs(
    summaries: Sequence[dict[str, Any]],
    *,
    text: str = "",
    statuses: Iterable[str | None] = (),
    datasets: Iterable[str] = (),
    methods: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The runs that contain every word of the text and have one of the chosen values; nothing chosen means any."""
    words, wanted_tags = text.casefold().split(), set(tags)
    allowed = {"status": set(statuses), "dataset": set(datasets), "method": set(methods)}
    return [
        item
        for item in summaries
        if all(not values or item.get(name) in values for name, values in allowed.items())
        and (not wanted_tags or wanted_tags & set(item.get("tags") or ()))
        and all(word in _write_searchable(item) for word in words)
    ]


def _write_searchable(summary: dict[str, Any]) -> str:
    rank = (summary.get("knobs") or {}).get("rank")
    texts = [str(summary.get(name) or "") for name in SEARCHED]
    return " ".join([*texts, *(summary.get("tags") or []), "" if rank is None else f"r{rank}"]).casefold()
