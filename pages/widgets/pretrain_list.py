"""All pre-trainings of the lab as a table that leads to each, kept up to date while one is at work."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries
from pages.widgets.lab import get_lab
from pages.widgets.run_picker import PARAMETER
from pages.widgets.run_status import ACTIVE
from pages.widgets.runs_table import DAMAGED_MARK, STATUS_MARKS, hash_ids
from pages.widgets.wording import STATUS_COLOURS

POLL_EVERY_S = 2.0
MAX_ROWS = 8
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
COLUMNS = ("status", "run", "progress", "curve", "loss", "encoders", "data", "backbone", "epochs", "started")


def draw_pretrain_list() -> None:
    """The table; ticking a row opens it."""
    summaries = list_pretrain_summaries(get_lab().store)
    count = "1 pre-training" if len(summaries) == 1 else f"{len(summaries)} pre-trainings"
    st.subheader(f"{count} in this lab", anchor=False)
    st.caption("Tick a row to open it. Losses compare only where data, image size and mask are the same.")
    is_active = _has_work(summaries)
    st.fragment(_draw_table, run_every=POLL_EVERY_S if is_active else None)(was_active=is_active)


def build_pretrain_frame(summaries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row per pre-training in the order given; what is not known is missing.

    Args:
        summaries: as `list_pretrain_summaries` gives them.
    """
    frame = pd.DataFrame([_build_row(item) for item in summaries], columns=list(COLUMNS))
    numbers = dict.fromkeys(("progress", "loss", "encoders", "epochs"), "float64")
    return frame.astype(numbers).assign(started=pd.to_datetime(frame["started"], utc=True))


def write_pretrain_name(summary: dict[str, Any]) -> str:
    """What is learned, for people: "MAE, Demo ViT/8, phantom"; the id of a damaged one."""
    name = summary.get("backbone")
    if name is None:
        return str(summary["run_id"])
    seed = f", seed {summary['seed']}" if summary.get("seed") else ""
    title = BACKBONES[name].title if name in BACKBONES else name
    return f"MAE, {title}, {summary['dataset']}{seed}"


def list_active_pretrainings() -> list[dict[str, Any]]:
    """Summaries of those that run or wait."""
    return [item for item in list_pretrain_summaries(get_lab().store) if item["status"] in ACTIVE]


def _has_work(summaries: Sequence[dict[str, Any]]) -> bool:
    return any(item["status"] in ACTIVE for item in summaries)


def _draw_table(*, was_active: bool) -> None:
    summaries = list_pretrain_summaries(get_lab().store)
    if _has_work(summaries) != was_active:
        st.rerun()  # begin or end the polling
    frame = build_pretrain_frame(summaries)
    run_ids = [item["run_id"] for item in summaries]
    event = st.dataframe(
        frame,
        key=f"pretrain_list_{hash_ids(run_ids)}",
        on_select="rerun",
        selection_mode="single-row",
        column_order=[name for name in COLUMNS if name != "progress" or frame["progress"].notna().any()],
        column_config=_configure_columns(),
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(max(len(frame), 1), MAX_ROWS),
        lazy=False,
        placeholder="–",
        alt=f"Table of {len(frame)} pre-trainings with status, loss, data and backbone.",
    )
    chosen = event["selection"]["rows"]
    if chosen:
        st.switch_page("pages/pretrain.py", query_params={PARAMETER: run_ids[chosen[0]]})


def _build_row(summary: dict[str, Any]) -> dict[str, Any]:
    """One line; a damaged one has its name and status only."""
    curve = [value for value in summary.get("curve") or [] if value is not None]
    created = summary.get("created_at")
    return {
        "status": STATUS_MARKS.get(summary["status"], DAMAGED_MARK),
        "run": summary["run_id"],
        "progress": _percent_done(summary),
        "curve": curve or None,
        "loss": summary.get("train_loss"),
        "encoders": summary.get("num_encoders"),
        "data": f"{summary['dataset']}, synthetic" if summary.get("data_is_synthetic") else summary.get("dataset"),
        "backbone": summary.get("backbone"),
        "epochs": summary.get("epochs"),
        "started": datetime.fromtimestamp(created, UTC) if created else None,
    }


def _percent_done(summary: dict[str, Any]) -> float | None:
    if summary["status"] in (None, "finished", "cancelled"):
        return None
    return min(100 * (summary.get("step") or 0) / summary["num_steps"], 100.0) if summary.get("num_steps") else 0.0


def _configure_columns() -> dict[str, Any]:
    config = st.column_config
    colours = {STATUS_MARKS[name]: colour for name, colour in STATUS_COLOURS.items()} | {DAMAGED_MARK: "red"}
    return {
        "status": config.MultiselectColumn("Status", width=112, options=list(colours), color=list(colours.values())),
        "run": config.TextColumn("Pre-training", width=230, help="Date and time, backbone."),
        "progress": config.ProgressColumn("Progress", width=105, format="%.0f %%", min_value=0.0, max_value=100.0),
        "curve": config.LineChartColumn("Loss curve", width=110, help="Mean loss of each epoch, first to last."),
        "loss": config.NumberColumn("Loss", width=70, format="%.4f", help="Mean of the last epoch."),
        "encoders": config.NumberColumn("Encoders", width=75, format="%d", help="That were kept."),
        "data": config.TextColumn("Data", width=130),
        "backbone": config.TextColumn("Backbone", width=110),
        "epochs": config.NumberColumn("Epochs", width=70, format="%d", help="Planned."),
        "started": config.DatetimeColumn(
            "Started", width=130, format="YYYY-MM-DD HH:mm", timezone=st.context.timezone or "UTC"
        ),
    }
