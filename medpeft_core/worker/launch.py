"""The other side of a worker: start it, follow it, stop it. Whoever does this never imports torch."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.runs.events import read_events
from medpeft_core.runs.liveness import is_alive, process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED_STATES, INTERRUPTED, QUEUED, RunState
from medpeft_core.runs.store import DEATH_MESSAGE, RunStore
from medpeft_core.worker.devices import lock_name
from medpeft_core.worker.processes import kill_tree, start_detached

STOP_POLL_S = 0.1
GRACE_S = 30.0  # how long a worker may take to hear a stop request
HEARD_FACTOR = 10  # once it has heard, it gets so many times that to end by itself
TERM_WAIT_S = 5.0
_LOG_TAIL_BYTES = 4000

OnEvents = Callable[[list[dict[str, Any]]], None]
Worker = subprocess.Popen[bytes]


def start_worker(run: Run) -> Worker:
    """Start the process that trains a run; it outlives this one. Its output goes to the run's log.txt."""
    return start_detached("medpeft_core.worker", run.folder, home=run.home, log_path=run.log_path)


def wait_for_device(
    store: RunStore, device: str, run: Run, *, on_wait: Callable[[str], None], poll_s: float = 0.5
) -> None:
    """Claim a device for a run on behalf of this process, which will start the worker; wait while it is busy.

    The run is `queued` meanwhile, also one that ended before and is to be resumed.

    Args:
        store: where the run lives.
        device: as in the config; the run's state gets the name of its lock.
        run: the run that is to be trained.
        on_wait: gets the id of the run that holds the device, at every look; may raise to give up.
        poll_s: time between two looks.

    Raises:
        RunError: the run was cancelled or started by somebody else meanwhile, or is at work already.
    """
    if store.settle(run).status not in (QUEUED, *FINISHED_STATES):
        raise RunError(f"Run {run.run_id} is {run.status} already. Wait for it or stop it.")
    name = lock_name(device)
    pid, started = process_identity(os.getpid())
    store.index.clear_stop(run.run_id)
    run.write_state(status=QUEUED, phase="waiting", pid=pid, pid_started=started, error=None, device=name)
    while not store.index.claim_device(name, run.run_id, pid, started):
        holder = store.index.device_holder(name)
        if holder is not None:
            on_wait(holder.run_id)
            time.sleep(poll_s)
        state = run.state()
        if state.status != QUEUED or state.pid != pid:
            raise RunError(f"Run {run.run_id} is {state.status} now; waiting for {name} ended.")


def follow_run(run: Run, process: Worker, *, on_events: OnEvents, poll_s: float = 0.2, offset: int = 0) -> RunState:
    """Pass on a run's events until its worker ended, and settle what a dead one left.

    Args:
        run: the run.
        process: its worker, as `start_worker` gave it.
        on_events: gets the new events, in order, at every look; often none, but the run's state may have changed.
        poll_s: time between two looks.
        offset: bytes of events.jsonl to pass over, for a resumed run whose earlier events are known.

    Returns:
        The last state; its status is one of `FINISHED_STATES`, unless another worker is at the run.
    """
    while True:
        has_ended = process.poll() is not None  # asked before reading, so that nothing of its last words is missed
        events, offset = read_events(run.events_path, offset)
        on_events(events)
        if has_ended:
            state = settle_ended(RunStore(run.home), run, process)
            last_events, _ = read_events(run.events_path, offset)
            if last_events:
                on_events(last_events)
            return state
        time.sleep(poll_s)


def settle_ended(store: RunStore, run: Run, process: Worker, *, reason: str = DEATH_MESSAGE) -> RunState:
    """The state of a run whose worker ended, made true when the worker could not write it itself.

    A run that another worker is at, or that was queued again meanwhile, stays as it is: when two workers were started
    for one run, the second is refused and ends at once.

    Args:
        store: where the run lives.
        run: the run.
        process: its worker, which has ended.
        reason: what is written as the error when the worker began and left no last word.
    """
    state = store.settle(run, reason=reason).state()
    if state.is_finished:
        store.index.release_run(run.run_id)
        return state
    if state.status != QUEUED or _is_left_to_others(store, run, state, process):
        return state
    error = f"The training process ended before it began (exit code {process.returncode}). {_last_line(run.log_path)}"
    return store.end_run(run, INTERRUPTED, error=error)


def describe_kill(waited_s: float) -> str:
    """What is written as the error of a run that had to be killed."""
    return f"The run did not stop within {waited_s:g} s and was killed. Resume it to go on from its last checkpoint."


def stop_worker(store: RunStore, run: Run, process: Worker | None, *, grace_s: float = GRACE_S) -> RunState:
    """Stop a run for certain: by request, then SIGTERM, then SIGKILL to its whole process tree.

    Args:
        store: where the run lives.
        run: the run; one that is over stays as it is, a queued one is cancelled.
        process: its worker where this process started it, else None.
        grace_s: how long the worker may take to hear; once it has, it gets ten times that to end by itself.

    Returns:
        The last state: `stopped` when the worker said so, `interrupted` when it had to be killed.
    """
    if store.settle(run).is_finished:
        return run.state()
    try:
        store.request_stop(run.run_id)
    except RunError:
        if not run.is_finished:  # else it has ended by itself at this very moment
            raise
    started_waiting = time.monotonic()
    while _is_at_work(run, process):
        # a worker that has heard is only finishing its batch, which on a CPU can take minutes
        patience_s = grace_s * (HEARD_FACTOR if store.index.is_stop_acknowledged(run.run_id) else 1)
        if time.monotonic() - started_waiting > patience_s:
            break
        time.sleep(STOP_POLL_S)
    if _is_at_work(run, process):
        state = run.state()
        pid, started = (state.pid, state.pid_started) if process is None else process_identity(process.pid)
        if pid is not None and started is not None:
            kill_tree(pid, started, term_wait_s=TERM_WAIT_S)
    if process is not None:
        process.wait()
    reason = describe_kill(grace_s)
    store.settle(run, reason=reason)
    return run.state() if process is None else settle_ended(store, run, process, reason=reason)


def _is_left_to_others(store: RunStore, run: Run, state: RunState, ended: Worker) -> bool:
    """Whether a queued run is no longer the matter of the worker that ended: another has its device, or nobody has."""
    locks = [lock for lock in store.index.overview().locks if lock.run_id == run.run_id]
    if any(lock.is_worker and lock.pid != ended.pid and is_alive(lock.pid, lock.pid_started) for lock in locks):
        return True
    return state.pid is None and not locks  # a worker that ends before it begins leaves a lock behind


def _is_at_work(run: Run, process: Worker | None) -> bool:
    if process is not None:
        return process.poll() is None
    state = run.state()
    return not state.is_finished and is_alive(state.pid, state.pid_started)


def _last_line(log_path: Path) -> str:
    try:
        lines = log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return f"{log_path} tells nothing."
    return next(
        (f"The last line of log.txt: {line.strip()}" for line in reversed(lines) if line.strip()), "log.txt is empty."
    )
