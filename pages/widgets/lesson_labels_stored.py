"""The result of the first lesson that ships with the lab: what it is, who made it, and its runs in a table."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.figures.finding_looks import write_fraction
from medpeft_core.lessons.stored import StoredFinding
from medpeft_core.runs.run import Run
from pages.widgets.lesson_labels_prediction import KEY
from pages.widgets.lesson_parts import draw_stored_note
from pages.widgets.wording import write_auroc, write_duration

ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 12  # pixels


def draw_stored(stored: StoredFinding) -> None:
    """The note that it is stored, and on demand the table.

    Raises:
        RunError: a stored run is damaged.
    """
    with st.container(border=True, key=f"{KEY}_stored"):
        draw_stored_note(stored.result["command"], made=describe_origin(stored))
        place = st.expander(
            "Look at the stored runs in a table",
            icon=":material/table_rows:",
            on_change="rerun",
            key=f"{KEY}_stored_runs",
        )
        if place.open:
            with place:
                _draw_runs(stored)


def describe_origin(stored: StoredFinding) -> str:
    """When and on what the runs were made; plain text."""
    day = datetime.fromtimestamp(stored.made_at, UTC).strftime("%Y-%m-%d")
    torch = (stored.result.get("packages") or {}).get("torch")
    device = str(stored.result.get("device_name") or "CPU")
    return ", ".join([day, device, *([f"PyTorch {torch}"] if torch else [])])


def _draw_runs(stored: StoredFinding) -> None:
    frame = build_stored_frame(stored, {item["method"]: item["title"] for item in stored.result["methods"]})
    st.dataframe(
        frame,
        key=f"{KEY}_stored_table",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(max(len(frame), 1), MAX_ROWS),
        alt=f"The {len(frame)} stored runs with their settings and AUROC.",
    )
    st.caption(
        "Settings, events, predictions and figures of each run ship with the lab, but not its weights. Every number "
        "of this page is made from these files."
    )
    st.download_button(
        "Save as .csv",
        data=frame.to_csv(index=False).encode(),
        file_name="few-labels-stored-runs.csv",
        key=f"{KEY}_stored_save",
        icon=":material/download:",
        on_click="ignore",
    )


def build_stored_frame(stored: StoredFinding, titles: dict[str, str]) -> pd.DataFrame:
    """A row for each run: settings, val and test AUROC, time, and its id.

    Args:
        stored: the result with its runs.
        titles: method of the lesson to what it is called.

    Raises:
        RunError: a run is damaged.
    """
    return pd.DataFrame([_describe(key, run, titles) for key, run in stored.runs.items()])


def _describe(key: str, run: Run, titles: dict[str, str]) -> dict[str, Any]:
    config, metrics = run.config(), run.metrics() or {}
    method = key.partition("-")[0]
    figures = (metrics.get(name) for name in ("test_auroc", "test_auroc_low", "test_auroc_high"))
    return {
        "Labels": write_fraction(config.data.fraction),
        "Method": titles.get(method, method),
        "Seed": config.train.seed,
        "Learning rate": "" if config.optim.lr is None else f"{config.optim.lr:g}",
        "Val AUROC": write_auroc(metrics.get("val_auroc")),
        "Test AUROC": write_auroc(*figures),
        "Took": write_duration(metrics.get("wall_time_s")),
        "Run": run.run_id,
    }
