"""The settings and results of many runs at a glance: for a grid of ranks and seeds, also of more than curves bear."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.figures.parallel import build_settings_chart, collect_settings
from pages.widgets.chart_ink import pick_ink
from pages.widgets.wording import write_auroc

MIN_RUNS = 3  # two are told apart by the table of what differs
FORMATS = ("png", "svg")


def draw_settings_chart(summaries: Sequence[dict[str, Any]], selected: Sequence[str]) -> None:
    """A line for each selected run that is finished; nothing for fewer than three.

    Args:
        summaries: of all runs.
        selected: ids; there may be any number.
    """
    rows = collect_settings([item for item in summaries if item["run_id"] in set(selected)])
    if len(rows) < MIN_RUNS:
        return
    st.subheader("All at a glance", anchor=False)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            f"A line for each of {len(rows)} runs, from blue for the lowest test AUROC to orange for the highest. Drag "
            "along an axis to keep the runs within.",
            width="stretch",
        )
        with st.popover("Save", icon=":material/download:", type="tertiary", key="compare_settings_save"):
            ending = st.segmented_control(
                "The camera above the chart saves", FORMATS, format_func=str.upper, default="png", required=True,
                key="compare_settings_format",
            )  # fmt: skip
            st.download_button(
                "Data (CSV)",
                data=lambda: pd.DataFrame(rows).to_csv(index=False).encode(),
                file_name="compare-settings.csv",
                mime="text/csv",
                key="compare_settings_csv",
                icon=":material/table:",
                on_click="ignore",
                width="stretch",
            )
    best = max(rows, key=lambda row: row["test_auroc"])
    with st.container(key="compare_settings_scroll"):
        st.plotly_chart(
            build_settings_chart(rows, ink=pick_ink()),
            key="compare_settings_chart",
            config={
                "displaylogo": False,
                "displayModeBar": True,
                "modeBarButtons": [["toImage"]],
                "toImageButtonOptions": {"format": ending, "filename": "compare-settings", "scale": 2},
            },
            alt=f"Settings and results of {len(rows)} runs. The highest test AUROC is "
            f"{write_auroc(best['test_auroc'])}, of {best['run_id']}.",
        )
