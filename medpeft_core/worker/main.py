"""The life of a worker process: take the device, train one run, and leave a true last word whatever happens.

A run that fine-tunes and one that pre-trains differ in what is called, and in what is said when memory runs out.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.runs.disk import DiskReserve, is_disk_full
from medpeft_core.runs.liveness import is_alive, process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import CANCELLED, FAILED, FINISHED, RUNNING, STOPPED, RunState, Status
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.control import WorkerControl
from medpeft_core.worker.devices import lock_name
from medpeft_core.worker.failures import (
    Failure,
    describe_failure,
    describe_pretraining_memory,
    describe_training_memory,
)
from medpeft_core.worker.processes import lower_priority

Train = Callable[[Run, WorkerControl], str]

EXIT_CODES: dict[str, int] = {FINISHED: 0, STOPPED: 130, FAILED: 1}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a training ended: `status` is finished, stopped or failed; a failed one has a failure."""

    status: Status
    failure: Failure | None = None


def main(run_dir: str) -> int:
    """Train the run in a folder, in this process.

    Returns:
        The exit code: 0 finished, 130 stopped, 1 failed or refused.
    """
    lower_priority()
    return run_guarded(Run(Path(run_dir).resolve()), _train)


def run_guarded(run: Run, train: Train) -> int:
    """Call `train(run, control)` under the protections of a worker.

    Args:
        run: a queued run, or one that ended and is to go on.
        train: returns "finished" or "stopped".

    Returns:
        The exit code: 0 finished, 130 stopped, 1 failed or refused.
    """
    store = RunStore(run.home)
    pid, started = process_identity(os.getpid())
    try:
        device = _take_device(store, run, pid, started)
    except MedPeftError as error:
        print(error, file=sys.stderr)
        return EXIT_CODES[FAILED]
    control, reserve = WorkerControl(run, store.index), DiskReserve(run.folder / ".reserve")
    begin = {
        "status": RUNNING,
        "phase": "starting",
        "pid": pid,
        "pid_started": started,
        "error": None,
        "device": device,
    }
    try:
        with _stop_on_signals(control):
            ending = _train_once(run, train, control, reserve, begin)
            _write_ending(run, control, reserve, ending)
    finally:
        reserve.release()
        with contextlib.suppress(RunError, OSError):  # a dead worker's lock is taken over anyway
            store.index.release_run(run.run_id)
    return EXIT_CODES[ending.status]


def _train(run: Run, control: WorkerControl) -> str:
    # heavy, and only now: the run is shown as running meanwhile
    if run.is_pretraining:
        from medpeft_core.pretraining.session import pretrain_run

        return pretrain_run(run, control)
    from medpeft_core.training.session import train_run

    outcome = train_run(run, control)
    if outcome == FINISHED:
        _draw_first_maps(run, control)
    return outcome


def _draw_first_maps(run: Run, control: WorkerControl) -> None:
    """Draw the heat maps that Explain shows first; a finished run stays finished whatever comes of them."""
    try:
        from medpeft_core.explain.first_maps import draw_first_maps  # heavy; inside: a package may be missing

        control.set_progress(phase="drawing the first heat maps")
        draw_first_maps(run, should_stop=control.should_stop)
    except Exception as error:  # a border of its own: the run's results are written, and nothing here may undo them
        traceback.print_exc()  # into log.txt: a bug stays loud
        with contextlib.suppress(OSError):  # a full disk
            control.emit({"type": "log", "text": f"The first heat maps were not drawn: {error}"})


def _take_device(store: RunStore, run: Run, pid: int, started: float) -> str:
    """Lock the device of a run for this process: from whoever started it, or by itself.

    Raises:
        RunError: the run is damaged, over, or being trained; or another run holds the device.
    """
    state = run.state()
    if state.status in (CANCELLED, FINISHED):
        store.index.clear_stop(run.run_id)
        raise RunError(f"Run {run.run_id} is {state.status}; there is nothing to train. `resume` makes it go on.")
    if state.status == RUNNING and state.pid != pid and is_alive(state.pid, state.pid_started):
        raise RunError(f"Run {run.run_id} is being trained by process {state.pid} already. Wait for it or stop it.")
    device = lock_name(state.device or run.train_section().device)
    for _ in range(2):
        if store.index.hand_over_device(device, run.run_id, pid, started):
            _check_unchanged(store, run, state, device)
            return device
        store.index.claim_device(device, run.run_id, pid, started)
    holder = store.index.device_holder(device)
    held_by = f"run {holder.run_id} (process {holder.pid})" if holder else "another run"
    raise RunError(f"{device} is held by {held_by}, so run {run.run_id} cannot start. Wait for it or stop it.")


def _check_unchanged(store: RunStore, run: Run, before: RunState, device: str) -> None:
    """Look again with the lock held: a worker that was stalled must not begin a run that another ended meanwhile.

    Raises:
        RunError: somebody else worked on the run, or cancelled it.
    """
    now = run.state()
    if (now.status, now.pid, now.pid_started) != (before.status, before.pid, before.pid_started):
        store.index.release_device(device, run.run_id)
        raise RunError(f"Run {run.run_id} became {now.status} while this process started. `resume` makes it go on.")


def _train_once(
    run: Run, train: Train, control: WorkerControl, reserve: DiskReserve, begin: dict[str, object]
) -> Ending:
    try:
        reserve.fill()
        run.write_state(**begin)
        control.emit({"type": "status", "status": RUNNING, "device": begin["device"], "pid": begin["pid"]})
        with control:
            outcome = train(run, control)
        if outcome == FINISHED:
            return Ending(status=FINISHED)
        if outcome == STOPPED:
            return Ending(status=STOPPED)
        raise ValueError(f"training ended with {outcome!r}, but only 'finished' and 'stopped' are known")
    except Exception as error:  # the worker's border: whatever happened becomes the run's last word
        if is_disk_full(error):
            reserve.release()
        batch_size = None
        with contextlib.suppress(RunError):
            batch_size = run.train_section().batch_size
        failure = describe_failure(
            error,
            folder=run.folder,
            device=str(begin["device"]),
            batch_size=batch_size,
            describe_memory=describe_pretraining_memory if run.is_pretraining else describe_training_memory,
        )
        return Ending(status=FAILED, failure=failure)


def _write_ending(run: Run, control: WorkerControl, reserve: DiskReserve, ending: Ending) -> None:
    """Tell how it ended; what a full disk refuses is tried again without the reserve, and the state matters most."""
    error = ending.failure.text if ending.failure else None
    state = {**control.take_pending(), "status": ending.status, "error": error, "eta_s": None}
    try:
        _tell_ending(run, ending)
    except OSError:
        reserve.release()
        with contextlib.suppress(OSError):
            _tell_ending(run, ending)
    try:
        run.write_state(**state)  # last: whoever reads a finished state may act on it at once
    except OSError:
        reserve.release()
        run.write_state(**state)


def _tell_ending(run: Run, ending: Ending) -> None:
    text = ending.failure.text if ending.failure else None
    if ending.failure is not None:
        _log(run, ending.failure)
        run.emit({"type": "error", "text": text, "traceback": ending.failure.traceback})
    run.emit({"type": "status", "status": ending.status, "error": text})


def _log(run: Run, failure: Failure) -> None:
    with run.log_path.open("a", encoding="utf-8") as log:
        log.write((failure.traceback or failure.text).rstrip("\n") + "\n")


@contextlib.contextmanager
def _stop_on_signals(control: WorkerControl) -> Iterator[None]:
    """SIGTERM means stop; SIGINT is left to whoever started the worker, who gets the same Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    handlers: dict[int, object] = {signal.SIGTERM: lambda *_: control.ask_to_stop(), signal.SIGINT: signal.SIG_IGN}
    if hasattr(signal, "SIGBREAK"):
        handlers[signal.SIGBREAK] = handlers[signal.SIGTERM]
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
