"""One pre-training: how it is doing, what it rebuilds, its curves and encoders, and what can be done with it."""

from functools import partial
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.figures import build_lr_curve, build_speed_curve
from medpeft_core.figures.pretraining import build_pretrain_loss_curve, build_rebuilt_curve, compute_rebuilt_share
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.files import list_encoders
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FAILED, INTERRUPTED, RunState
from pages.widgets.chart_ink import add_ink
from pages.widgets.glossary import explain
from pages.widgets.lab import get_lab
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.monitor_failure import draw_failure, draw_traceback
from pages.widgets.monitor_history import LiveHistory, find_last, open_history
from pages.widgets.monitor_log import draw_log
from pages.widgets.monitor_remedies import diagnose
from pages.widgets.pretrain_actions import confirm_deletion, draw_pretrain_actions
from pages.widgets.pretrain_encoders import draw_encoders
from pages.widgets.pretrain_pictures import draw_pictures
from pages.widgets.pretrain_settings import draw_pretrain_settings
from pages.widgets.run_heading import POLL_EVERY_S, draw_heading, draw_progress
from pages.widgets.run_status import ACTIVE, is_stopping
from pages.widgets.wording import escape_markdown, write_count, write_duration

TABS = ("Curves", "Settings", "Data", "Log")
History = list[dict[str, Any]]


def draw_pretraining(run_id: str) -> None:
    """Everything about one pre-training; while a worker is at it, or it waits for one, this keeps itself up to date.

    Args:
        run_id: the name of a pre-training, whose folder is there.
    """
    try:
        run = get_lab().load_run(run_id)
        state, config, origin = run.state(), run.pretrain_config(), run.provenance()
        for read in (run.meta, run.metrics):  # what is drawn below must be whole
            read()
    except MedPeftError as error:
        _draw_damaged(run_id, error)
        return
    is_active = state.status in ACTIVE
    draw_heading(run, state)
    is_asked = is_stopping(get_lab().store, run)
    if is_active:
        draw_progress(run, state, is_asked=is_asked)
    else:
        _draw_ending(run, state, config)
    num_encoders = len(list_encoders(run))
    live = st.fragment(_draw_live, run_every=POLL_EVERY_S if is_active else None)
    pictures, figures = st.columns([3, 2], gap="medium")
    with pictures:
        draw_pictures(run, config, origin, is_active=is_active)
    with figures:
        live(run_id, drawn_status=state.status, was_asked=is_asked, num_encoders=num_encoders)
    draw_encoders(run, is_active=is_active)
    st.fragment(_draw_tabs, run_every=POLL_EVERY_S if is_active else None)(run_id)


def _draw_ending(run: Run, state: RunState, config: PretrainConfig) -> None:
    """What became of one that no process is at, and what can be done about it."""
    has_checkpoint = any(run.checkpoint_dir.glob("*.safetensors"))
    diagnosis = diagnose(state.status, state.error, config, has_checkpoint=has_checkpoint)
    is_bad = state.status in (FAILED, INTERRUPTED)
    if is_bad:
        draw_failure(state, diagnosis)
    draw_pretrain_actions(run, diagnosis.remedies)
    if is_bad:
        draw_traceback(run)


def _draw_live(run_id: str, *, drawn_status: str, was_asked: bool, num_encoders: int) -> None:
    """Figures and the loss curve; draws the page anew when what stands outside of live parts has changed."""
    try:
        run = get_lab().load_run(run_id)
        state, config, origin = run.state(), run.pretrain_config(), run.provenance()
    except RunError:
        st.rerun()  # it was deleted or damaged a moment ago: the whole page says so
    live = open_history(run)
    history = live.read()
    kept = [event["epoch"] for event in history if event["type"] == "encoder"]
    has_changed = state.status != drawn_status or is_stopping(get_lab().store, run) != was_asked
    if has_changed or len(list_encoders(run)) != num_encoders:
        st.rerun()
    _draw_cards(run, state, config, origin, history)
    st.markdown("**Loss**")
    _draw_chart(
        live.remember(
            "loss",
            (state.epochs, state.num_steps, len(history)),
            lambda: build_pretrain_loss_curve(
                history, epochs=state.epochs, num_steps=state.num_steps, kept_epochs=set(kept)
            ),
        ),
        "loss",
        alt=_describe_loss(history),
    )


def _draw_cards(run: Run, state: RunState, config: PretrainConfig, origin: dict[str, Any], history: History) -> None:
    step, epoch, first = find_last(history, "step"), find_last(history, "epoch"), _find_first_loss(history)
    share = compute_rebuilt_share(find_last(history, "rebuilt"))
    metrics = run.metrics() or {}
    loss = epoch.get("train_loss", step.get("loss"))
    speed = step.get("images_per_s") or epoch.get("train_images_per_s")
    wall_time_s = metrics.get("wall_time_s")
    draw_cards(
        [
            Card(
                label="Loss",
                value="n/a" if loss is None else f"{loss:.4f}",
                note=f"first {first:.4f}" if first is not None else "no step yet",
                help=explain("mae_loss"),
            ),
            Card(
                label="Rebuilding error",
                value="n/a" if share is None else f"{100 * share:.0f} %",
                note="of a blind guess",
                help="Squared error of the rebuilt hidden patches, as a share of that of a guess that paints each "
                "in one brightness. On fixed training images; the smaller the better.",
            ),
            Card(
                label="Time" if wall_time_s is not None else "Images per second",
                value=write_duration(wall_time_s) if wall_time_s is not None else f"{speed:.0f}" if speed else "n/a",
                note=f"{speed:.0f} images/s" if wall_time_s is not None and speed else _describe_place(config),
            ),
            Card(
                label="Encoder",
                value=write_count(origin.get("num_params")),
                note=f"+ {write_count(origin.get('num_decoder_params'))} decoder",
                help=explain("mae"),
            ),
        ],
    )


def _draw_tabs(run_id: str) -> None:
    try:
        run = get_lab().load_run(run_id)
        state, config = run.state(), run.pretrain_config()
    except RunError:
        return  # the page says so at the next tick of its other live part
    live = open_history(run)
    history = live.read()
    tabs = st.tabs(TABS, key="pretrain_tab", on_change="rerun")
    for name, tab in zip(TABS, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            if name == "Curves":
                _draw_curves(live, history, state)
            elif name == "Settings":
                draw_pretrain_settings(config, key="pretrain_settings")
            elif name == "Data":
                _draw_data(run)
            else:
                draw_log(run, history, key="pretrain_log")


def _draw_curves(live: LiveHistory, history: History, state: RunState) -> None:
    if not any(event["type"] == "step" for event in history):
        text = "It ended before its first step." if state.is_finished else "The curves begin with the first step."
        st.info(text, icon=":material/show_chart:")
        return
    plan = {"epochs": state.epochs, "num_steps": state.num_steps}
    options = (*plan.values(), len(history))
    charts = (
        ("rebuilt", "Error of hidden patches against a blind guess", build_rebuilt_curve),
        ("lr", "Learning rate", build_lr_curve),
        ("speed", "Images per second", build_speed_curve),
    )
    for column, (name, title, build) in zip(st.columns(3), charts, strict=True):
        with column:
            st.markdown(f"**{title}**")
            spec = live.remember(name, options, partial(build, history, **plan))
            _draw_chart(spec, name, alt=f"{title} over the epochs")


def _draw_data(run: Run) -> None:
    """Which images it learns from, and which it never looks at."""
    origin = run.provenance()
    counts = origin.get("num_images") or {}
    draw_cards(
        [
            Card(label="Training images", value=_write_whole(origin.get("num_train_images")), note="learned from"),
            Card(label="Training patients", value=_write_whole(origin.get("num_train_patients"))),
            Card(label="Val images", value=_write_whole(counts.get("val")), note="never looked at"),
            Card(label="Test images", value=_write_whole(counts.get("test")), note="never looked at"),
        ]
    )
    for icon, name in ((":orange[:material/warning:]", "warnings"), (":material/info:", "data_notes")):
        for text in origin.get(name) or []:
            st.markdown(f"{icon} {escape_markdown(str(text))}")
    st.caption(f"Fingerprint of the data: {str(origin.get('data_fingerprint'))[:16]}")


def _draw_chart(spec: dict[str, Any], name: str, *, alt: str) -> None:
    st.vega_lite_chart(add_ink(spec), width="stretch", key=f"pretrain_chart_{name}", alt=alt)


def _describe_loss(history: History) -> str:
    """The chart in words for a screen reader."""
    losses = [event["train_loss"] for event in history if event["type"] == "epoch" and event.get("train_loss")]
    if not losses:
        return "Loss over the epochs: no epoch is over yet"
    return f"Loss over the epochs: {losses[0]:.4f} after the first, {losses[-1]:.4f} after {len(losses)}"


def _find_first_loss(history: History) -> float | None:
    return next((event["loss"] for event in history if event["type"] == "step" and event.get("loss") is not None), None)


def _describe_place(config: PretrainConfig) -> str:
    return f"batch {config.train.batch_size} on {config.train.device}"


def _write_whole(value: int | None) -> str:
    return "n/a" if value is None else f"{value:,}"


def _draw_damaged(run_id: str, error: MedPeftError) -> None:
    st.error(escape_markdown(str(error)), title="This pre-training cannot be read", icon=":material/broken_image:")
    if st.button("Delete it", icon=":material/delete:", key="pretrain_delete_damaged"):
        confirm_deletion(run_id)
