"""The Curves tab: val AUROC, loss, learning rate and speed, as charts that grow in place while the run trains."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from medpeft_core.figures import build_learning_curves, build_loss_curve, build_lr_curve, build_speed_curve
from medpeft_core.runs.states import RunState
from pages.widgets.chart_ink import add_ink
from pages.widgets.monitor_history import LiveHistory
from pages.widgets.wording import name_labels, write_auroc

TITLE_HEIGHT = 44  # pixels
MAX_LABELS = 20  # curves of more cannot be told apart


def draw_curves(live: LiveHistory, history: list[dict[str, Any]], state: RunState, origin: dict[str, Any]) -> None:
    """The four charts, or what they wait for.

    Args:
        live: what was drawn from this history before.
        history: of the run.
        state: of the run.
        origin: its provenance: which labels there are, and how many training images have them.
    """
    if not any(event["type"] in ("step", "eval") for event in history):
        text = "It ended before its first step." if state.is_finished else "The curves begin with the first step."
        st.info(text, icon=":material/show_chart:")
        return
    plan = {"epochs": state.epochs, "num_steps": state.num_steps}
    # the history's end: another visitor may have read the log further since this one was taken
    options = (*plan.values(), len(history), history[-1].get("time"))
    labels, word = choose_labels(origin), name_labels(origin.get("task"))
    left, right = st.columns(2)
    with left, _title_row("Val AUROC"):
        show_labels = st.toggle(
            f"Each {name_labels(origin.get('task'), 1)}",
            value=True,
            key="monitor_each_label",
            persist_state="session",
            help=f"The bold line is the mean of the {word}, the faint ones are the {word}"
            + ("." if len(labels) == len(origin["labels"]) else f": the {len(labels)} with the most training images."),
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


def choose_labels(origin: dict[str, Any]) -> list[str]:
    """The labels that get a curve, in their order: all, or of very many those with the most training images."""
    labels, counts = origin["labels"], origin.get("positives") or {}
    if len(labels) <= MAX_LABELS:
        return list(labels)
    largest = sorted(labels, key=lambda label: -counts.get(label, {}).get("num_positive", 0))[:MAX_LABELS]
    return [label for label in labels if label in set(largest)]


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
