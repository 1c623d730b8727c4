"""Set up a run, start its worker under the device lock, show its progress, and stop it on Ctrl-C."""

import contextlib
import time
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from medpeft_core.commands.console import (
    PLAIN_EVERY_S,
    ProgressBar,
    describe_interval,
    describe_seconds,
    print_json,
    tell,
)
from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import RunError
from medpeft_core.reports.summary import summarise_result
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import CANCELLED, FINISHED, STOPPED, RunState
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.launch import follow_run, settle_ended, start_worker, stop_worker, wait_for_device
from medpeft_core.worker.processes import kill_tree

EXIT_CODES = {FINISHED: 0, STOPPED: 130, CANCELLED: 130}
KILL_WAIT_S = 2.0


def train(config: RunConfig, *, queue: bool, as_json: bool) -> int:
    """Check a run, make its folder, and train it, or leave it in the queue.

    Returns:
        The exit code: 0 finished or queued, 1 failed or interrupted, 130 stopped.

    Raises:
        MedPeftError: the run cannot start as it is; nothing was written.
    """
    # heavy: torch, timm and peft, only for commands that build a model
    from medpeft_core.training.setup import check_runs, create_runs

    config = resolve_config(config)
    with ProgressBar() as progress:
        prepared = prepare_dataset(config.data, progress=progress)
    tell(f"Checking {config.method.name} on {config.backbone.name}.")
    [plan] = check_runs([config], [prepared])
    _tell_facts(plan.provenance)
    store, device = RunStore.open_default(), plan.config.train.device
    if queue:
        [run] = create_runs(store, [plan])
        tell(f"Queued {run.run_id} for {device}. The app, or `python -m medpeft_core supervise`, starts it.")
        if as_json:
            print_json(summarise_result(run))
        return 0
    return work_on(store, store.create(plan.config, provenance=plan.provenance, device=device), as_json=as_json)


def resume(run_id: str, *, as_json: bool) -> int:
    """Go on with a run from its last checkpoint.

    Raises:
        RunError: there is no such run, or it is finished or at work.
    """
    store = RunStore.open_default()
    run = store.settle(store.load(run_id))
    if run.status == FINISHED:
        raise RunError(f"The run {run.run_id} is finished; there is nothing to resume. Start a new one with `train`.")
    if not run.state().is_finished and run.state().pid is not None:
        raise RunError(f"The run {run.run_id} is {run.status}. Stop it first: python -m medpeft_core stop {run.run_id}")
    store.index.dequeue(run.run_id)
    return work_on(store, run, as_json=as_json)


def work_on(store: RunStore, run: Run, *, as_json: bool) -> int:
    """Wait for the device, start the worker, follow it to its end, and tell the result."""
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    try:
        wait_for_device(store, run.config().train.device, run, on_wait=_WaitTeller())
    except KeyboardInterrupt:
        store.request_stop(run.run_id)
        tell(f"Cancelled {run.run_id} before it started.")
        if as_json:
            print_json(summarise_result(run))
        return EXIT_CODES[CANCELLED]
    with FollowView(run) as view:
        process = start_worker(run)
        try:
            tell(f"Run {run.run_id} started; its files are in {run.folder}. Ctrl-C stops it, and it can be resumed.")
            state = follow_run(run, process, on_events=view, offset=offset)
        except KeyboardInterrupt:
            view.close()
            tell("Stopping after this batch, with a checkpoint. Ctrl-C again kills it.")
            state = _stop(store, run, process)
    tell_result(run, state)
    if as_json:
        print_json(summarise_result(run))
    return EXIT_CODES.get(state.status, 1)


def tell_result(run: Run, state: RunState) -> None:
    """How a run ended, in a sentence or two."""
    if state.status != FINISHED:
        tell(f"Run {run.run_id} {state.status}. {state.error or ''}".strip())
        if state.status != CANCELLED:
            tell(f"To go on: python -m medpeft_core resume {run.run_id}")
        return
    result = summarise_result(run)
    auroc = describe_interval(result["test_auroc"], result["test_auroc_low"], result["test_auroc_high"])
    tell(
        f"Run {run.run_id} finished in {describe_seconds(result['wall_time_s'])}. Test AUROC, mean of the labels: "
        f"{auroc}."
    )
    for label, figures in result["per_class"].items():
        interval = describe_interval(figures["auroc"], figures["low"], figures["high"])
        tell(f"  {label:<20} {interval:<26} {figures['num_positive']} positive, {figures['num_negative']} negative")
    tell(
        "Research and teaching only, not for clinical use."
        + (" These images are synthetic." if result["is_synthetic"] else "")
    )


def _stop(store: RunStore, run: Run, process: Any) -> RunState:
    try:
        return stop_worker(store, run, process)
    except KeyboardInterrupt:
        # not the pid in the state: until the worker has written its own, that is the one of this process
        with contextlib.suppress(psutil.NoSuchProcess):
            kill_tree(*process_identity(process.pid), term_wait_s=KILL_WAIT_S)
        process.wait()
        return settle_ended(store, run, process)


def _tell_facts(provenance: dict[str, Any]) -> None:
    images, patients = provenance["num_train_images"], provenance["num_train_patients"]
    by_patient = f" of {patients} patients" if patients is not None else ""
    tell(
        f"Training on {images} images{by_patient}, val {provenance['num_images']['val']}, test "
        f"{provenance['num_images']['test']}."
    )
    for label, counts in provenance["positives"].items():
        unknown = f", {counts['num_unknown']} unknown" if counts["num_unknown"] else ""
        tell(f"  {label:<20} {counts['num_positive']:>6} positive, {counts['num_negative']:>6} negative{unknown}")
    share = provenance["num_trainable_params"] / provenance["num_params"]
    tell(f"Trained parameters: {provenance['num_trainable_params']:,} of {provenance['num_params']:,} ({share:.2%}).")
    for warning in (*provenance["data_notes"], *provenance["warnings"]):
        tell(f"Note: {warning}")


class _WaitTeller:
    """Says once for whom this run waits."""

    def __init__(self) -> None:
        self._told: str | None = None

    def __call__(self, holder: str) -> None:
        if holder != self._told:
            self._told = holder
            tell(f"The device is busy with the run {holder}; waiting for it.")


class FollowView:
    """Shows a run's events: a line for each evaluation, and in a terminal a bar with ETA."""

    def __init__(self, run: Run) -> None:
        self._run = run
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
            line = _describe_event(event, state)
            if line:
                self._last_line = time.monotonic()
                tell(line)
            elif event["type"] == "step" and self._bar is None and time.monotonic() - self._last_line > PLAIN_EVERY_S:
                self._last_line = time.monotonic()
                tell(_describe_step(event, state))
        if self._bar is None and state.phase and time.monotonic() - self._last_line > PLAIN_EVERY_S:
            self._last_line = time.monotonic()
            tell(state.phase + _describe_eta(state))  # evaluating or decoding, which is told by no event
        if self._bar is not None and self._task is not None:
            text = f"{state.phase}" if state.phase else "starting"
            self._bar.update(self._task, description=text, completed=state.step or 0, total=state.num_steps)


def _describe_step(event: dict[str, Any], state: RunState) -> str:
    speed = f"{event['images_per_s']:.0f} images/s"
    return f"step {event['step']} of {state.num_steps}: loss {event['loss']:.4f}, {speed}{_describe_eta(state)}"


def _describe_eta(state: RunState) -> str:
    return f", about {describe_seconds(state.eta_s)} left" if state.eta_s else ""


def _describe_event(event: dict[str, Any], state: RunState) -> str:
    kind = event["type"]
    if kind == "eval":
        auroc = f"val AUROC {event['val_auroc']:.3f}" if event.get("val_auroc") is not None else "val AUROC n/a"
        best = ", best so far" if event.get("is_best") else ""
        return f"epoch {event['epoch']}, step {event['step']}: {auroc}, val loss {event['val_loss']:.4f}{best}"
    if kind == "epoch":
        speed = event["train_images_per_s"]
        loss = f"training loss {event['train_loss']:.4f}"
        return f"epoch {event['epoch']} of {state.epochs}: {loss}, {speed:.0f} images/s{_describe_eta(state)}"
    if kind == "log":
        return str(event.get("text", ""))
    return ""
