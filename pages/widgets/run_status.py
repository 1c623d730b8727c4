"""How a run is doing, honestly: the status chip, and a line with phase, epoch, step, time left, last sign of life."""

import contextlib
import re
import time
from dataclasses import dataclass

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import PAUSED, QUEUED, RUNNING, RunState
from medpeft_core.runs.store import RunStore
from pages.widgets.wording import STATUS_COLOURS, STATUS_ICONS, write_ago, write_duration

ACTIVE = (QUEUED, RUNNING, PAUSED)
SILENT_AFTER_S = 15.0
STOPPING = "Stopping after this batch, with a checkpoint"
_COUNT = re.compile(r", (\d+) of (\d+)\b")


@dataclass(frozen=True, kw_only=True)
class StatusLine:
    """What is known about a run at work at one moment.

    Attributes:
        parts: phrases such as "epoch 3 of 10" and "step 56 of 200", the most important first.
        share: of the optimizer steps, 0 to 1; before the first step, of what the phase counts.
        heard: when the worker gave its last sign of life, such as "heard from 2 s ago".
        warning: a sentence when that is worryingly long ago, else None.
    """

    parts: tuple[str, ...]
    share: float
    heard: str
    warning: str | None


def draw_status_chip(status: str | None) -> None:
    """The status as a coloured word with an icon; None is a run whose files are damaged."""
    if status is None:
        st.badge("damaged", icon=":material/warning:", color="red")
    else:
        st.badge(status, icon=STATUS_ICONS[status], color=STATUS_COLOURS[status])  # type: ignore[arg-type]


def draw_status_line(store: RunStore, run: Run, state: RunState) -> None:
    """The line about a run that a worker is at, with its bar."""
    last_beat = state.updated_at
    with contextlib.suppress(RunError):  # the sidebar says why the index cannot be used; the run goes on
        last_beat = store.index.last_beat(run.run_id) or last_beat
    line = describe_status(state, last_beat=last_beat, is_stopping=is_stopping(store, run), now=time.time())
    colour = "orange" if line.warning else "gray"
    text = " · ".join([f"**{line.parts[0]}**", *line.parts[1:], f":{colour}[{line.heard}]"])
    st.progress(line.share, text=text)
    if line.warning:
        st.caption(f":orange[:material/warning: {line.warning}]")


def is_stopping(store: RunStore, run: Run) -> bool:
    """Whether somebody asked the run to stop; false when the index cannot be used, which the sidebar tells."""
    with contextlib.suppress(RunError):
        return store.index.is_stop_requested(run.run_id)
    return False


def describe_status(state: RunState, *, last_beat: float, is_stopping: bool, now: float) -> StatusLine:
    """The line about a running run.

    Args:
        state: as stored; its ETA counts from `updated_at`.
        last_beat: unix time of the worker's last sign of life.
        is_stopping: whether somebody asked it to stop.
        now: unix time.
    """
    phase = state.phase or "starting"
    parts = [STOPPING, phase] if is_stopping else [phase]
    if state.epoch and state.epochs and not phase.startswith("epoch"):
        parts.append(f"epoch {state.epoch} of {state.epochs}")
    if state.step is not None and state.num_steps:
        parts.append(f"step {state.step:,} of {state.num_steps:,}")
    silent_s = max(now - last_beat, 0.0)
    is_silent = silent_s > SILENT_AFTER_S
    left_s = (state.eta_s or 0.0) - (now - state.updated_at)
    if left_s >= 1 and not is_stopping and not is_silent:
        parts.append(f"about {write_duration(left_s)} left")
    warning = None
    if is_silent:
        warning = (
            f"Nothing heard for {write_duration(silent_s)}: the worker may be swapping or suspended. "
            "It is given up when its process is gone."
        )
    return StatusLine(
        parts=tuple(parts), share=compute_share(state), heard=f"heard from {write_ago(last_beat)}", warning=warning
    )


def compute_share(state: RunState) -> float:
    """How much of its way a run has gone, 0 to 1."""
    if state.step and state.num_steps:
        return min(state.step / state.num_steps, 1.0)
    count = _COUNT.search(state.phase)
    return min(int(count[1]) / max(int(count[2]), 1), 1.0) if count else 0.0
