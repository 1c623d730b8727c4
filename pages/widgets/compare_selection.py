"""Which runs are compared; the choice lives in the address as `?runs=`, so that a link shows the same comparison."""

from collections.abc import Collection, Sequence
from typing import Any

import streamlit as st

from pages.widgets.runs_table import draw_runs_table

PARAMETER = "runs"
KEPT, ROUND = "compare_selected", "compare_round"
MAX_NAMED = 50  # ids that are read from an address


def select_runs(
    summaries: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]], *, columns: Sequence[str]
) -> list[str]:
    """Draw the table of the shown runs, and keep what is selected in the address.

    Args:
        summaries: all runs.
        shown: those that pass the filter; a selected run that does not stays selected, and that is said.
        columns: of the table.

    Returns:
        The ids of the selected runs, in the order in which they were selected.
    """
    wanted = read_ids(st.query_params.get(PARAMETER, ",".join(st.session_state.get(KEPT, ()))))
    known = {item["run_id"] for item in summaries}
    selected = [run_id for run_id in wanted if run_id in known]
    if len(selected) < len(wanted):
        st.warning(
            f"The address names {_count(len(wanted) - len(selected))} not in this lab (any more).",
            icon=":material/search_off:",
        )
    visible = {item["run_id"] for item in shown}
    hidden = [run_id for run_id in selected if run_id not in visible]
    if shown:
        number = st.session_state.get(ROUND)
        chosen = draw_runs_table(
            shown,
            key=f"compare_runs_{number}" if number else "compare_runs",
            columns=columns,
            selection_mode="multi-row",
            selected=selected,
        )
    else:
        st.info("No run passes the filter. Clear a word or a choice above.", icon=":material/filter_alt_off:")
        chosen = []
    selected = [run_id for run_id in selected if run_id in chosen or run_id in hidden]
    selected += [run_id for run_id in chosen if run_id not in selected]
    _write_ids(selected)
    if hidden:
        st.caption(f":material/filter_alt: The filter hides {_count(len(hidden))} selected.")
    return selected


def deselect(run_ids: Collection[str]) -> None:
    """Take runs out of the selection; the page is to be drawn again afterwards."""
    replace_selection([run_id for run_id in st.session_state.get(KEPT, ()) if run_id not in run_ids])


def replace_selection(run_ids: Sequence[str]) -> None:
    """Select these runs and no others; the page is to be drawn again afterwards."""
    _write_ids(run_ids)
    # the table forgets its ticks with its name; else it would put them back
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


def read_ids(text: str) -> list[str]:
    """The names in "a,b", each once; a name that no run has is left to the caller."""
    return list(dict.fromkeys(part for part in text.split(",") if part))[:MAX_NAMED]


def _write_ids(run_ids: Sequence[str]) -> None:
    """Into the address, and into the visit for a reader who comes back by the menu, where the address is bare."""
    st.session_state[KEPT] = list(run_ids)
    if run_ids:
        st.query_params[PARAMETER] = ",".join(run_ids)
    else:
        st.query_params.pop(PARAMETER, None)


def _count(number: int) -> str:
    return "1 run that is" if number == 1 else f"{number} runs that are"
