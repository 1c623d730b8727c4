"""The settings in which the compared runs differ, side by side, each with its explanation."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.compare import diff_configs, list_shared_settings
from pages.widgets.compare_runs import ComparedRun
from pages.widgets.monitor_settings import write_value

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
MAX_ROWS = 12  # more scroll
SETTING, HELP = "Setting", "What it is"


def draw_differences(runs: Sequence[ComparedRun]) -> None:
    """The table, or that there is nothing to tell.

    Raises:
        RunError: a config is damaged.
    """
    differences = diff_configs([item.run for item in runs])
    if differences:
        _draw_table(runs, differences)
    else:
        st.markdown("All settings are the same.")
    _draw_shared(runs)


def _draw_table(runs: Sequence[ComparedRun], differences: Sequence[dict[str, Any]]) -> None:
    frame = build_difference_frame(runs, differences)
    config = st.column_config
    st.dataframe(
        frame,
        key="compare_settings",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), MAX_ROWS),
        column_config={
            SETTING: config.TextColumn(pinned=True, width=150),
            **{item.name: config.TextColumn(width=190, help=item.run.run_id) for item in runs},
            HELP: config.TextColumn(width=420),
        },
        alt=f"{len(frame)} settings in which {len(runs)} runs differ: {', '.join(frame[SETTING])}.",
    )


def _draw_shared(runs: Sequence[ComparedRun]) -> None:
    """On demand, what the runs agree in."""
    place = st.expander("Settings that are the same", on_change="rerun", key="compare_shared_open")
    if not place.open:
        return
    shared = list_shared_settings([item.run for item in runs])
    with place:
        st.dataframe(
            pd.DataFrame(
                {
                    SETTING: [item["setting"] for item in shared],
                    "Value": [_write_setting(item["value"]) for item in shared],
                    HELP: [item["help"] for item in shared],
                }
            ),
            key="compare_shared",
            hide_index=True,
            lazy=False,
            row_height=ROW_HEIGHT,
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(shared), MAX_ROWS),
            column_config={
                SETTING: st.column_config.TextColumn(pinned=True, width=190),
                "Value": st.column_config.TextColumn(width=190),
                HELP: st.column_config.TextColumn(width=420),
            },
            alt=f"{len(shared)} settings in which all {len(runs)} runs agree.",
        )


def build_difference_frame(runs: Sequence[ComparedRun], differences: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row per setting, a column per run, and the explanation.

    Args:
        runs: in the order of the columns.
        differences: as `diff_configs` gives them.
    """
    columns: dict[str, list[str]] = {SETTING: [item["setting"] for item in differences]}
    for run in runs:
        columns[run.name] = [_write_setting(item["values"][run.run.run_id]) for item in differences]
    columns[HELP] = [item["help"] for item in differences]
    return pd.DataFrame(columns)


def _write_setting(value: Any) -> str:
    """The value; a dash where the run has no such setting."""
    return "–" if value is None else write_value(value)
