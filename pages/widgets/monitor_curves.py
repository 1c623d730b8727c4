"""The Curves tab: val AUROC, loss, learning rate and speed, as charts that grow in place while the run trains."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from medpeft_core.figures import build_learning_curves, build_loss_curve, build_lr_curve, build_speed_curve
from medpeft_core.runs.states import RunState
from pages.widgets.chart_ink import add_ink
from pages.widgets.monitor_history import LiveHistory
from pages.widgets.wording import write_auroc

TITLE_HEIGHT = 44  # pixels


def draw_curves(live: LiveHistory, history: list[dict[str, Any]], state: RunState, labels: list[str]) -> None:
    """The four charts, or what they wait for."""
    if not any(event["type"] in ("step", "eval") for event in history):
        text = "It ended before its first step." if state.is_finished else "The curves begin with the first step."
        st.info(text, icon=":material/show_chart:")
        return
    plan = {"epochs": state.epochs, "num_steps": state.num_steps}
    # the history's end: another visitor may have read the log further since this one was taken
    options = (*plan.values(), len(history), history[-1].get("time"))
    left, right = st.columns(2)
    with left, _title_row("Val AUROC"):
        show_labels = st.toggle(
            "Each label",
            value=True,
            key="monitor_each_label",
            persist_state="session",
            help="The bold line is the mean of the labels, the faint ones are the labels.",
        )
    with left:
        _draw_chart(
            live.remember(
                "auroc",
                (*options, show_labels),
                lambda: build_learning_curves(history, labels=labels, show_labels=show_labels, **plan),
            ),
            "auroc",
            alt=_describe_auroc(history),
        )
    with right:
        _title_row("Loss")
        _draw_chart(
            live.remember("loss", options, lambda: build_loss_curve(history, **plan)),
            "loss",
            alt="Training and val loss over the epochs",
        )
    left, right = st.columns(2)
    with left:
        st.markdown("**Images per second**")
        _draw_chart(
            live.remember("speed", options, lambda: build_speed_curve(history, **plan)),
            "speed",
            alt="Training images per second over the epochs",
        )
    with right:
        st.markdown("**Learning rate**")
        _draw_chart(
            live.remember("lr", options, lambda: build_lr_curve(history, **plan)),
            "lr",
            alt="Learning rate over the epochs",
        )


def _describe_auroc(history: list[dict[str, Any]]) -> str:
    """The chart in words for a screen reader."""
    values = [event.get("val_auroc") for event in history if event["type"] == "eval"]
    count = f"{len(values)} evaluation{'' if len(values) == 1 else 's'}"
    if not values:
        return "Val AUROC over the epochs: no evaluation yet"
    return f"Val AUROC over the epochs, the mean of the labels bold: {count}, the last {write_auroc(values[-1])}"


def _title_row(title: str) -> DeltaGenerator:
    """A row as high beside another one, whether or not it holds a switch."""
    row = st.container(
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="distribute",
        height=TITLE_HEIGHT,
        border=False,
    )
    row.markdown(f"**{title}**", width="content")
    return row


def _draw_chart(spec: dict[str, Any], name: str, *, alt: str) -> None:
    st.vega_lite_chart(add_ink(spec), width="stretch", key=f"monitor_chart_{name}", alt=alt)
