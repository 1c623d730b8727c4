"""Work on a run in the foreground: start its worker under the device lock, show its progress, stop it on Ctrl-C.

What is told of a run depends on its kind; `train` and `pretrain` bring their words.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from medpeft_core.commands.console import PLAIN_EVERY_S, describe_seconds, print_json, tell
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import CANCELLED, FINISHED, STOPPED, RunState
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.launch import follow_run, settle_ended, start_worker, stop_worker, wait_for_device
from medpeft_core.worker.processes import kill_tree

EXIT_CODES = {FINISHED: 0, STOPPED: 130, CANCELLED: 130}
KILL_WAIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is told of one kind of runs.

    Attributes:
        describe_event: an event in a line; "" for one that is not told.
        tell_result: tells what a finished run found.
        summarise: the run as the JSON of a command.
        epoch_every_s: epochs that follow faster are not all told.
    """

    describe_event: Callable[[dict[str, Any], RunState], str]
    tell_result: Callable[[Run], None]
    summarise: Callable[[Run], dict[str, Any]]
    epoch_every_s: float = 0.0


def work_on(store: RunStore, run: Run, *, words: Words, as_json: bool) -> int:
    """Wait for the device, start the worker, follow it to its end, and tell the result."""
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    try:
        wait_for_device(store, run.train_section().device, run, on_wait=_WaitTeller())
    except KeyboardInterrupt:
        store.request_stop(run.run_id)
        tell(f"Cancelled {run.run_id} before it started.")
        if as_json:
            print_json(words.summarise(run))
        return EXIT_CODES[CANCELLED]
    with FollowView(run, words) as view:
        process = start_worker(run)
        try:
            tell(f"Run {run.run_id} started; its files are in {run.folder}. Ctrl-C stops it, and it can be resumed.")
            state = follow_run(run, process, on_events=view, offset=offset)
        except KeyboardInterrupt:
            view.close()
            tell("Stopping after this batch, with a checkpoint. Ctrl-C again kills it.")
            state = _stop(store, run, process)
    tell_end(run, state, words)
    if as_json:
        print_json(words.summarise(run))
    return EXIT_CODES.get(state.status, 1)


def tell_end(run: Run, state: RunState, words: Words) -> None:
    """How a run ended."""
    if state.status == FINISHED:
        words.tell_result(run)
        return
    tell(f"Run {run.run_id} {state.status}. {state.error or ''}".strip())
    if state.status != CANCELLED:
        tell(f"To go on: python -m medpeft_core resume {run.run_id}")


def describe_eta(state: RunState) -> str:
    """ ", about 12 min left", or "" while that is not known or no longer worth saying."""
    return f", about {describe_seconds(state.eta_s)} left" if state.eta_s and state.eta_s >= 1 else ""


def _stop(store: RunStore, run: Run, process: Any) -> RunState:
    try:
        return stop_worker(store, run, process)
    except KeyboardInterrupt:
        # not the pid in the state: until the worker has written its own, that is the one of this process
        with contextlib.suppress(psutil.NoSuchProcess):
            kill_tree(*process_identity(process.pid), term_wait_s=KILL_WAIT_S)
        process.wait()
        return settle_ended(store, run, process)


class _WaitTeller:
    """Says once for whom this run waits."""

    def __init__(self) -> None:
        self._told: str | None = None

    def __call__(self, holder: str) -> None:
        if holder != self._told:
            self._told = holder
            tell(f"The device is busy with the run {holder}; waiting for it.")


class FollowView:
    """Shows a run's events: a line for each that its words tell, and in a terminal a bar with ETA."""

    def __init__(self, run: Run, words: Words) -> None:
        self._run = run
        self._words = words
        self._last_epoch = -math.inf
        console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last_line = time.monotonic()
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("starting", total=None)
            self._bar.start()

    def __enter__(self) -> "FollowView":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, events: list[dict[str, Any]]) -> None:
        state = self._run.state()
        for event in events:
            line = self._words.describe_event(event, state)
            if line and not self._is_passed_over(event, state):
                self._last_line = time.monotonic()
                tell(line)
            elif event["type"] == "step" and self._bar is None and time.monotonic() - self._last_line > PLAIN_EVERY_S:
                self._last_line = time.monotonic()
                tell(_describe_step(event, state))
        if self._bar is None and state.phase and time.monotonic() - self._last_line > PLAIN_EVERY_S:
            self._last_line = time.monotonic()
            tell(state.phase + describe_eta(state))  # evaluating or decoding, which is told by no event
        if self._bar is not None and self._task is not None:
            text = f"{state.phase}" if state.phase else "starting"
            self._bar.update(self._task, description=text, completed=state.step or 0, total=state.num_steps)

    def _is_passed_over(self, event: dict[str, Any], state: RunState) -> bool:
        """Whether this is one of many quick epochs; the last of all is told."""
        if event["type"] != "epoch":
            return False
        now = time.monotonic()
        if event["epoch"] != state.epochs and now - self._last_epoch < self._words.epoch_every_s:
            return True
        self._last_epoch = now
        return False


def _describe_step(event: dict[str, Any], state: RunState) -> str:
    speed = f"{event['images_per_s']:.0f} images/s"
    return f"step {event['step']} of {state.num_steps}: loss {event['loss']:.4f}, {speed}{describe_eta(state)}"
