"""The figures of the run in the form: parameters, memory, time and data, shown as they come."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.config import RunConfig
from pages.widgets.lab import get_lab
from pages.widgets.train_answers import Forecast, ask_forecast
from pages.widgets.train_messages import draw_problem, draw_warnings
from pages.widgets.wording import escape_markdown, write_bytes, write_count, write_duration, write_share

POLL_EVERY_S = 0.3
METRIC_HEIGHT = 126  # pixels, also of what stands in for a metric that is still to come
ROW_HEIGHT, MAX_TABLE_HEIGHT = 35, 283


def draw_figures(config: RunConfig, known: Forecast) -> None:
    """The figures of a config that has no mistake of its own; they appear as they come.

    Args:
        known: what the rest of the page is drawn with; when there is more, the page is drawn again.
    """
    run_every = POLL_EVERY_S if known.is_pending else None
    st.fragment(_draw_figures, run_every=run_every)(config.to_dict(), known.stage)


def _draw_figures(values: dict[str, Any], stage: int) -> None:
    forecast = ask_forecast(values)
    if forecast.stage != stage:
        st.rerun()
    check = forecast.check
    if check.problem:
        draw_problem(check.problem, title="This run cannot start")
        return
    if check.is_pending and not get_lab().compute.is_warm:
        st.caption(":material/hourglass_top: Warming up (about 8 s, once).")
    with st.grid(2, min_column_width=150):
        _draw_params(check.value)
        _draw_memory(check.value)
        _draw_time(values, forecast)
        _draw_images(check.value)
    if check.value is not None:
        _draw_data(check.value)


def _draw_metric(label: str, value: str, detail: str, *, explanation: str) -> None:
    st.metric(
        label,
        value,
        delta=detail,
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=explanation,
        height=METRIC_HEIGHT,
    )


def _draw_params(check: dict[str, Any] | None) -> None:
    if check is None:
        st.skeleton(METRIC_HEIGHT)
        return
    trained, total = check["num_trainable_params"], check["num_params"]
    _draw_metric(
        "Trained parameters",
        write_count(trained),
        f"{write_share(trained, total)} of {write_count(total)}",
        explanation=f"Counted on the built model: {trained:,} of {total:,}. What is stored for the run, without its "
        f"base: {write_bytes(check['adapter_bytes'])}.",
    )


def _draw_memory(check: dict[str, Any] | None) -> None:
    if check is None:
        st.skeleton(METRIC_HEIGHT)
        return
    parts = ", ".join(f"{name} {write_bytes(size)}" for name, size in check["memory_parts"].items())
    total = check["device_memory_bytes"]
    _draw_metric(
        "Memory",
        write_bytes(check["memory_bytes"]),
        f"of {write_bytes(total)} on {check['device']}" if total else f"on {check['device']}",
        explanation=f"Estimated peak: {parts}.",
    )


def _draw_time(values: dict[str, Any], forecast: Forecast) -> None:
    epochs = values["train"]["epochs"]
    check, speed = forecast.check.value, forecast.speed
    if check is None or speed.is_pending:
        st.skeleton(METRIC_HEIGHT)
        return
    answer = speed.value or {}
    steps = f", {check['num_steps']:,} steps" if check["num_steps"] else ""
    explanation = f"{_write_speed(answer['images_per_s'])} {answer['source']}" if answer else speed.problem or ""
    _draw_metric(
        "Time",
        write_duration(answer.get("total_s")),
        f"{epochs} epoch{'s' if epochs > 1 else ''}{steps}",
        explanation=explanation,
    )


def _write_speed(images_per_s: float) -> str:
    return f"{images_per_s:,.0f} images/s." if images_per_s >= 1000 else f"{images_per_s:.3g} images/s."


def _draw_images(check: dict[str, Any] | None) -> None:
    if check is None:
        st.skeleton(METRIC_HEIGHT)
        return
    count, splits = check["num_train_images"], check["num_images"]
    if count is None:
        _draw_metric("Training images", "n/a", "not prepared yet", explanation="Known when the data are prepared.")
        return
    patients = check["num_train_patients"]
    whole = f"val {splits['val']:,}, test {splits['test']:,} images, which every fraction is measured on"
    _draw_metric(
        "Training images",
        f"{count:,}",
        f"of {patients:,} patients" if patients is not None else "patients not known",
        explanation=f"In the label fraction; the whole training set has {splits['train']:,}. Beside them {whole}.",
    )


def _draw_data(check: dict[str, Any]) -> None:
    """Warnings, and what is left of each label."""
    draw_warnings(check["warnings"])
    if check["notes"]:
        st.caption("  \n".join(escape_markdown(sentence) for sentence in check["notes"]))
    if not check["positives"]:
        return
    counts = check["positives"]
    if check.get("task") == "multiclass":
        _draw_classes(counts, check)
        return
    table = pd.DataFrame({"label": list(counts), "positive": [row["num_positive"] for row in counts.values()]})
    table["negative"] = [row["num_negative"] for row in counts.values()]
    if any(row["num_unknown"] for row in counts.values()):
        table["unknown"] = [row["num_unknown"] for row in counts.values()]
    st.dataframe(
        table,
        hide_index=True,
        height=min(ROW_HEIGHT * (len(table) + 1) + 3, MAX_TABLE_HEIGHT),
        column_config={
            "label": "Label",
            "positive": st.column_config.ProgressColumn(
                "Positive", format="localized", min_value=0, max_value=max(check["num_train_images"], 1)
            ),
            "negative": st.column_config.NumberColumn("Negative", format="localized"),
            "unknown": st.column_config.NumberColumn("Unknown", format="localized"),
        },
        alt="Positive and negative images of each label in the label fraction.",
    )


def _draw_classes(counts: dict[str, dict[str, int]], check: dict[str, Any]) -> None:
    """Of exclusive classes the images of each."""
    what = "grades, the mildest first" if check.get("is_ordered") else "classes"
    st.caption(f"Each image is exactly one of {len(counts):,} {what}; the model answers with the likeliest.")
    table = pd.DataFrame({"class": list(counts), "images": [row["num_positive"] for row in counts.values()]})
    st.dataframe(
        table,
        hide_index=True,
        height=min(ROW_HEIGHT * (len(table) + 1) + 3, MAX_TABLE_HEIGHT),
        column_config={
            "class": "Class",
            "images": st.column_config.ProgressColumn(
                "Images", format="localized", min_value=0, max_value=max(check["num_train_images"], 1)
            ),
        },
        alt="Images of each class in the label fraction.",
    )
