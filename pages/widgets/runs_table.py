"""The table of runs: status, curve, progress and figures of each, with rows to select."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd
import streamlit as st

from medpeft_core.metrics.spec import METRICS
from pages.widgets.wording import STATUS_COLOURS

STATUS_MARKS = {
    "queued": "◷ queued",
    "running": "▶ running",
    "paused": "⏸︎ paused",
    "stopped": "■ stopped",
    "finished": "✓ finished",
    "failed": "✕ failed",
    "interrupted": "⚡︎ interrupted",
    "cancelled": "⊘ cancelled",
}
DAMAGED_MARK = "⚠︎ damaged"
USUAL_COLUMNS = (
    "status", "run_id", "progress", "test_auroc", "interval", "curve", "val_auroc", "method", "rank", "trainable",
    "backbone", "dataset", "fraction", "seed", "started", "took_min", "tags",
)  # fmt: skip
DECISIONS = ("accuracy", "macro_f1", "weighted_f1", "quadratic_kappa")  # of runs on exclusive classes
ALL_COLUMNS = (*USUAL_COLUMNS, *DECISIONS, "weights", "image_size", "epochs", "notes", "owner")
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels


def build_runs_frame(summaries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row per run in the order given, with the columns `ALL_COLUMNS`; what is not known is missing.

    Args:
        summaries: as `list_summaries` gives them.
    """
    frame = pd.DataFrame([_build_row(item) for item in summaries], columns=list(ALL_COLUMNS))
    numbers = [
        "progress",
        "test_auroc",
        "val_auroc",
        "rank",
        "trainable",
        "fraction",
        "seed",
        "took_min",
        "image_size",
        "epochs",
        *DECISIONS,
    ]
    return frame.astype(dict.fromkeys(numbers, "float64")).assign(started=pd.to_datetime(frame["started"], utc=True))


def draw_runs_table(
    summaries: Sequence[dict[str, Any]],
    *,
    key: str,
    columns: Sequence[str] = USUAL_COLUMNS,
    selection_mode: Literal["multi-row", "single-row"] | None = None,
    selected: Sequence[str] = (),
    max_rows: int = 10,
) -> list[str]:
    """Draw the table and tell which of its runs are selected.

    Args:
        summaries: the runs to show, in this order until the reader sorts by a column.
        key: of the widget; ids of the shown runs are part of it, so that a selection never moves to another run when
            runs come, go or are filtered.
        columns: of `ALL_COLUMNS`, in this order; "progress" is left out when every run has ended.
        selection_mode: None for a table to read only.
        selected: run ids that are selected when the table is new to the reader.
        max_rows: more rows than these scroll.

    Returns:
        The ids of the selected runs: first those of `selected` in their order, then the newly chosen.
    """
    run_ids = [item["run_id"] for item in summaries]
    frame = build_runs_frame(summaries)
    shown = [name for name in columns if name != "progress" or frame["progress"].notna().any()]
    options: dict[str, Any] = {
        "column_order": shown,
        "column_config": _configure_columns(),
        "hide_index": True,
        "row_height": ROW_HEIGHT,
        "height": HEADER_HEIGHT + ROW_HEIGHT * min(max(len(frame), 1), max_rows),
        "lazy": False,
        "placeholder": "–",
        "alt": f"Table of {len(frame)} runs with status, settings and AUROC.",
    }
    if selection_mode is None:
        st.dataframe(frame, key=key, **options)
        return []
    rows = [run_ids.index(run_id) for run_id in selected if run_id in run_ids]
    event = st.dataframe(
        frame,
        key=f"{key}_{hash_ids(run_ids)}",
        on_select="rerun",
        selection_mode=selection_mode,
        selection_default={"selection": {"rows": rows if selection_mode == "multi-row" else rows[:1]}},
        **options,
    )
    chosen = [run_ids[row] for row in event["selection"]["rows"]]
    return [name for name in selected if name in chosen] + [name for name in chosen if name not in selected]


def hash_ids(run_ids: Sequence[str]) -> str:
    """A short name for a list of runs in their order."""
    return hashlib.sha256("\n".join(run_ids).encode()).hexdigest()[:10]


def _build_row(summary: dict[str, Any]) -> dict[str, Any]:
    """One line; a damaged run has its name and status only."""
    metrics = summary.get("metrics") or {}
    rank = (summary.get("knobs") or {}).get("rank")
    curve = [value for value in summary.get("curve") or [] if value is not None]
    return {
        "status": STATUS_MARKS.get(summary["status"], DAMAGED_MARK),
        "run_id": summary["run_id"],
        "progress": _percent_done(summary),
        "test_auroc": metrics.get("test_auroc"),
        "interval": _write_interval(metrics.get("test_auroc_low"), metrics.get("test_auroc_high")),
        "curve": curve or None,
        "val_auroc": metrics.get("val_auroc", curve[-1] if curve else None),
        "method": summary.get("method"),
        "rank": rank if isinstance(rank, int) else None,
        "trainable": summary.get("num_trainable_params") or metrics.get("num_trainable_params"),
        "backbone": summary.get("backbone"),
        "dataset": _write_dataset(summary),
        "fraction": summary.get("fraction"),
        "seed": summary.get("seed"),
        "started": _as_moment(summary.get("created_at")),
        "took_min": None if metrics.get("wall_time_s") is None else metrics["wall_time_s"] / 60,
        "tags": list(summary.get("tags") or []),
        **{name: metrics.get(f"test_{name}") for name in DECISIONS},
        "weights": summary.get("weights"),
        "image_size": summary.get("image_size"),
        "epochs": summary.get("epochs"),
        "notes": " ".join((summary.get("notes") or "").split()) or None,
        "owner": summary.get("owner") or None,
    }


def _write_dataset(summary: dict[str, Any]) -> str | None:
    return f"{summary['dataset']}, synthetic" if summary.get("data_is_synthetic") else summary.get("dataset")


def _percent_done(summary: dict[str, Any]) -> float | None:
    """How far a run that may go on is, 0 to 100; None for one that has ended well or is damaged."""
    if summary["status"] in (None, "finished", "cancelled"):
        return None
    return min(100 * (summary.get("step") or 0) / summary["num_steps"], 100.0) if summary.get("num_steps") else 0.0


def _write_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _as_moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _configure_columns() -> dict[str, Any]:
    """Titles, formats and explanations of the columns."""
    config = st.column_config
    colours = {STATUS_MARKS[name]: colour for name, colour in STATUS_COLOURS.items()} | {DAMAGED_MARK: "red"}
    return {
        "status": config.MultiselectColumn("Status", width=118, options=list(colours), color=list(colours.values())),
        "run_id": config.TextColumn("Run", width=250, help="Date and time, method, rank, backbone."),
        "progress": config.ProgressColumn("Progress", width=105, format="%.0f %%", min_value=0.0, max_value=100.0),
        "test_auroc": config.NumberColumn(
            "Test AUROC",
            width=95,
            format="%.3f",
            help="Mean over the labels, on images that were used for nothing else.",
        ),
        "interval": config.TextColumn(
            "Interval", width=118, help="Confidence interval of the test AUROC, by resampling patients."
        ),
        "curve": config.LineChartColumn(
            "Val curve",
            width=110,
            y_min=0.4,
            y_max=1.0,
            help="Val AUROC from the first evaluation to the last, 0.4 to 1.",
        ),
        "val_auroc": config.NumberColumn(
            "Val AUROC",
            width=92,
            format="%.3f",
            help="Of the best weights, which were chosen by it, so it flatters; the latest while a run goes on.",
        ),
        "method": config.TextColumn("Method", width=80),
        "rank": config.NumberColumn("Rank", width=60, format="%d"),
        "trainable": config.NumberColumn(
            "Trainable", width=85, format="compact", help="Parameters that are trained; the others stay as they were."
        ),
        "backbone": config.TextColumn("Backbone", width=170),
        "dataset": config.TextColumn("Data", width=140),
        "fraction": config.NumberColumn(
            "Fraction", width=80, format="percent", help="Share of the training patients that were used."
        ),
        "seed": config.NumberColumn("Seed", width=60, format="%d"),
        "started": config.DatetimeColumn(
            "Started", width=130, format="YYYY-MM-DD HH:mm", timezone=st.context.timezone or "UTC"
        ),
        "took_min": config.NumberColumn(
            "Minutes", width=80, format="%.1f", help="Wall time of training and evaluation."
        ),
        "tags": config.ListColumn("Tags", width=120),
        **{
            name: config.NumberColumn(
                METRICS[name].title,
                width=95,
                format="%.3f",
                help=f"Of runs whose classes exclude each other, on test. {METRICS[name].explanation}",
            )
            for name in DECISIONS
        },
        "weights": config.TextColumn("Weights", width=120, help="What the backbone began with."),
        "image_size": config.NumberColumn("Image size", width=90, format="%d px", help="Side of the square input."),
        "epochs": config.NumberColumn("Epochs", width=75, format="%d", help="Planned."),
        "notes": config.TextColumn("Notes", width=220),
        "owner": config.TextColumn("Owner", width=110),
    }


def title_columns() -> dict[str, str]:
    """Each column and its heading."""
    return {name: column["label"] for name, column in _configure_columns().items()}
