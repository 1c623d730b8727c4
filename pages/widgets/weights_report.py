"""The table that says what becomes of each tensor of a weights file, faults first."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.backbones.key_report import FATES, FAULTS
from pages.widgets.wording import escape_markdown

COLOURS = {
    "loaded": "green",
    "converted": "blue",
    "dropped": "gray",
    "fresh": "violet",
    "missing": "red",
    "unexpected": "red",
    "shape": "orange",
    "unusable": "red",
}
ICONS = {
    "loaded": ":material/check:",
    "converted": ":material/sync_alt:",
    "dropped": ":material/delete_sweep:",
    "fresh": ":material/fiber_new:",
    "missing": ":material/error:",
    "unexpected": ":material/error:",
    "shape": ":material/error:",
    "unusable": ":material/error:",
}
ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 9


def draw_report(report: dict[str, Any], *, key: str) -> None:
    """What was found in the file.

    Args:
        report: as `KeyReport.to_dict` gives it.
        key: of the table.
    """
    draw_counts(report["counts"])
    st.caption(_describe_file(report))
    frame = build_frame(report["rows"])
    st.dataframe(
        frame,
        hide_index=True,
        key=key,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(max(len(frame), 1), MAX_ROWS),
        column_config=_configure_columns(),
        alt=f"Table of {len(frame)} tensors: name in the file, name in the model, shapes, and what becomes of each",
    )
    with st.expander("What the words mean"):
        for fate, meaning in FATES.items():
            st.caption(f"**{fate}**: {meaning}.")


def draw_counts(counts: dict[str, int]) -> None:
    """How many tensors met which fate, as badges; faults first."""
    order = [*FAULTS, *(fate for fate in FATES if fate not in FAULTS)]
    with st.container(horizontal=True, gap="small"):
        for fate in order:
            if counts.get(fate):
                st.badge(f"{counts[fate]} {fate}", icon=ICONS[fate], color=COLOURS[fate], help=FATES[fate])


def build_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each tensor in the order of the report, which has the faults first.

    Args:
        rows: as `KeyRow` describes them.
    """
    return pd.DataFrame(
        {
            "Fate": [row["fate"] for row in rows],
            "In the file": [row["source"] or "–" for row in rows],
            "In the model": [row["target"] or "–" for row in rows],
            "Shape": [_write_shape(row["found"]) for row in rows],
            "Needed": [_write_shape(row["needed"]) for row in rows],
            "Note": [row["note"] for row in rows],
        }
    )


def count_faults(report: dict[str, Any]) -> int:
    """Tensors that prevent loading."""
    return sum(report["counts"].get(fate, 0) for fate in FAULTS)


def _describe_file(report: dict[str, Any]) -> str:
    parts = [f"Layout: **{escape_markdown(str(report['layout']))}**"]
    if report["container"]:
        parts.append(f"tensors under {escape_markdown(str(report['container']))}")
    if report["prefix"]:
        parts.append(f"names begin with {escape_markdown(str(report['prefix']))}, which is cut off")
    if report["left_out"]:
        parts.append(f"also in the file, and not read: {escape_markdown(', '.join(map(str, report['left_out'])))}")
    return "; ".join(parts) + "."


def _write_shape(shape: Any) -> str:
    return "–" if shape is None else " × ".join(map(str, shape)) or "1"


def _configure_columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "Fate": config.MultiselectColumn(width=105, options=list(COLOURS), color=list(COLOURS.values())),
        "In the file": config.TextColumn(width=250),
        "In the model": config.TextColumn(width=230),
        "Shape": config.TextColumn(width=120),
        "Needed": config.TextColumn(width=120, help="The shape that the model needs."),
        "Note": config.TextColumn(width=260),
    }
