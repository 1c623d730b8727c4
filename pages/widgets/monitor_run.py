"""One run on the Monitor page: how it is doing, its figures, its tabs, and what can be done with it."""

from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FAILED, FINISHED, INTERRUPTED, RunState
from pages.widgets.export_section import draw_exports
from pages.widgets.glossary import explain
from pages.widgets.lab import get_lab
from pages.widgets.monitor_actions import confirm_deletion, draw_actions
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.monitor_curves import draw_curves
from pages.widgets.monitor_data import draw_data
from pages.widgets.monitor_failure import draw_failure, draw_traceback
from pages.widgets.monitor_history import find_last, open_history
from pages.widgets.monitor_log import draw_log
from pages.widgets.monitor_remedies import diagnose
from pages.widgets.monitor_results import draw_results
from pages.widgets.monitor_settings import draw_settings
from pages.widgets.run_heading import POLL_EVERY_S, draw_heading, draw_progress
from pages.widgets.run_status import ACTIVE, is_stopping
from pages.widgets.wording import SYNTHETIC, escape_markdown, name_labels, write_auroc, write_count, write_share

TABS = ("Curves", "Settings", "Log", "Data")


def draw_run(run_id: str) -> None:
    """Everything about one run; while a worker is at it, or it waits for one, this keeps itself up to date."""
    try:
        run = get_lab().load_run(run_id)
        state, config = run.state(), run.config()
        for read in (run.provenance, run.meta, run.metrics):  # what is drawn below must be whole
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
    st.fragment(_draw_live, run_every=POLL_EVERY_S if is_active else None)(
        run_id, drawn_status=state.status, was_asked=is_asked
    )
    if not is_active:
        draw_exports(run, config)


def _draw_ending(run: Run, state: RunState, config: RunConfig) -> None:
    """What became of a run that no process is at, and what can be done about it."""
    has_checkpoint = any(run.checkpoint_dir.glob("*.safetensors"))
    diagnosis = diagnose(state.status, state.error, config, has_checkpoint=has_checkpoint)
    is_bad = state.status in (FAILED, INTERRUPTED)
    if is_bad:
        draw_failure(state, diagnosis)
    draw_actions(run, state, diagnosis.remedies)
    if is_bad:
        draw_traceback(run)


def _draw_live(run_id: str, *, drawn_status: str, was_asked: bool) -> None:
    try:
        run = get_lab().load_run(run_id)
        state, config, origin = run.state(), run.config(), run.provenance()
    except RunError:
        st.rerun()  # it was deleted or damaged a moment ago: the whole page says so
    if state.status != drawn_status or is_stopping(get_lab().store, run) != was_asked:
        st.rerun()  # the rest of the page says so too, and polling begins or ends
    live = open_history(run)
    history = live.read()
    metrics = run.metrics() if state.status == FINISHED else None
    if metrics is not None:
        draw_results(run, metrics, key="monitor_results")
    _draw_figures(history, origin, config)
    tabs = st.tabs(TABS, key="monitor_tab", on_change="rerun")
    for name, tab in zip(TABS, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            if name == "Curves":
                draw_curves(live, history, state, origin)
            elif name == "Settings":
                draw_settings(config, key="monitor_settings")
            elif name == "Log":
                draw_log(run, history, key="monitor_log")
            else:
                draw_data(run, key="monitor_data")


def _draw_figures(history: list[dict[str, Any]], origin: dict[str, Any], config: RunConfig) -> None:
    """The newest figures in a row."""
    step, best = find_last(history, "step"), find_last(history, "eval", is_best=True)
    last = write_auroc(find_last(history, "eval").get("val_auroc"))
    trained, total = origin.get("num_trainable_params"), origin.get("num_params")
    draw_cards(
        [
            Card(
                label="Best val AUROC",
                value=write_auroc(best.get("val_auroc")),
                note=f"epoch {best['epoch']}, last {last}" if best else "no evaluation yet",
                help=f"Mean of the {name_labels(origin.get('task'))}, on the images that the weights are chosen by. "
                f"The test result comes at the end.\n\n**AUROC.** {explain('auroc')}",
            ),
            Card(
                label="Training loss",
                value=f"{step['loss']:.4f}" if step.get("loss") is not None else "n/a",
                note=f"learning rate {step['lr']:.2g}" if step else "no step yet",
            ),
            Card(
                label="Images per second",
                value=f"{step['images_per_s']:.0f}" if step else "n/a",
                note=f"batch {config.train.batch_size} on {config.train.device}",
            ),
            Card(
                label="Trained parameters",
                value=write_count(trained),
                note=f"{write_share(trained, total)} of {write_count(total)}",
            ),
        ]
    )
    if origin.get("is_synthetic"):
        st.caption(f":material/palette: {SYNTHETIC}")


def _draw_damaged(run_id: str, error: MedPeftError) -> None:
    st.error(escape_markdown(str(error)), title="This run cannot be read", icon=":material/broken_image:")
    if st.button("Delete it", icon=":material/delete:", key="monitor_delete_damaged"):
        confirm_deletion(run_id)
