"""What the leading supervisor does at each look: settle what dead workers left, and start the next runs.

Everything that it decides by is in the run folders and the index, so the next leader goes on where a killed one was.
Who leads, and when to look, is `supervisor`'s matter. Light.
"""

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

import psutil

from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.runs.index import DeviceLock, Overview, QueuedRun
from medpeft_core.runs.lanes import are_in_conflict, find_free_lane, is_lane
from medpeft_core.runs.liveness import is_alive, process_identity
from medpeft_core.runs.run import Run, find_all_runs
from medpeft_core.runs.states import FAILED, QUEUED, RUNNING, RunState
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.devices import lock_name
from medpeft_core.worker.escalation import Escalation
from medpeft_core.worker.failures import describe_failure
from medpeft_core.worker.launch import Worker, settle_ended, start_worker

SCAN_EVERY_S = 5.0
RETRY_S = 10.0  # a run that could not be started is left alone for so long
LOST_AFTER_S = 30.0  # whoever makes a queued run puts it into the queue at once
MAX_EVENTS = 500

EventKind = Literal["found", "started", "ended", "removed", "problem"]


class SupervisorEvent(NamedTuple):
    """Something that the supervisor did or saw, as a sentence; `status` is that of a run that ended."""

    kind: EventKind
    run_id: str
    text: str
    status: str | None = None


class Dispatcher:
    """Looks after all runs of one home; used by one thread, and by one process at a time.

    Attributes:
        events: what happened, oldest first; whoever shows them takes them out.
        is_idle: at the last look no run was queued or at work.
    """

    def __init__(self, store: RunStore) -> None:
        self.events: deque[SupervisorEvent] = deque(maxlen=MAX_EVENTS)
        self.is_idle = False
        self._store = store
        self._me = process_identity(os.getpid())
        self._workers: dict[str, tuple[Worker, str]] = {}  # the workers started here and their devices, by run
        self._at_work: set[str] = set()
        self._escalation = Escalation()
        self._retry_at: dict[str, float] = {}
        self._problems: dict[str, str] = {}
        self._over_since_ns: dict[str, int] = {}  # when state.json was written, of runs that are over
        self._scan_at = 0.0
        self._device_names: dict[str, str] = {}

    def take_over(self) -> None:
        """Begin to lead: the next look goes through all runs."""
        self._scan_at = 0.0
        self.is_idle = False

    def let_go(self) -> None:
        """End leading: devices claimed for workers that are just starting are freed, they claim them by themselves."""
        for run_id in self._workers:
            with contextlib.suppress(RunError):  # on a full disk the claim is void when this process ends
                self._store.index.release_claims(run_id)

    def look(self) -> None:
        """Do whatever there is to do now.

        Raises:
            RunError: the index cannot be used, for example on a full disk; look again later.
        """
        for run_id in list(self._workers):
            with self._border(run_id):
                self._reap(run_id)
        seen = self._store.index.overview()
        if time.monotonic() >= self._scan_at:
            self._scan(seen)
            self._scan_at = time.monotonic() + SCAN_EVERY_S
        locks = [lock for lock in seen.locks if self._is_held(lock)]
        self._follow({lock.run_id for lock in locks if lock.is_worker})
        for stop in self._escalation.watch(seen.stops):
            with self._border(stop.run_id):
                worker = self._find_worker(stop.run_id, locks)
                if worker is None:
                    self._store.index.clear_stop(stop.run_id)  # it was cancelled, and nobody is left to hear it
                else:
                    self._escalation.kill(stop, *worker)
        self._start_next(seen.queue, locks)
        self.is_idle = not seen.queue and not self._at_work and not self._workers

    def _reap(self, run_id: str) -> None:
        """Settle the run of a worker that was started here and has ended."""
        process, _ = self._workers[run_id]
        if process.poll() is None:
            return
        del self._workers[run_id]
        self._at_work.discard(run_id)
        run, reason = self._run(run_id), self._escalation.reason(run_id)
        self._escalation.forget(run_id)
        if run.folder.exists():
            self._tell_end(run, settle_ended(self._store, run, process, reason=reason))
        else:
            self._store.index.release_run(run_id)

    def _is_held(self, lock: DeviceLock) -> bool:
        """Whether a living process holds the lock; what a dead one left is settled."""
        if is_alive(lock.pid, lock.pid_started):
            return True
        if lock.run_id not in self._workers:  # else it is reaped at the next look
            with self._border(lock.run_id):
                self._store.index.release_lock(lock)
                self._settle(self._run(lock.run_id))
        return False

    def _settle(self, run: Run) -> None:
        if run.folder.exists():
            self._store.settle(run, reason=self._escalation.reason(run.run_id))

    def _scan(self, seen: Overview) -> None:
        """Look at every run that is not over, also at those of which the index knows nothing."""
        for run in find_all_runs(self._store.home):
            with self._border(run.run_id):
                written_ns = run.state_path.stat().st_mtime_ns
                if self._over_since_ns.get(run.run_id) == written_ns:
                    continue
                state = run.state()
                if state.is_finished:
                    self._over_since_ns[run.run_id] = written_ns
                else:
                    self._check_unfinished(run, state, seen)

    def _check_unfinished(self, run: Run, state: RunState, seen: Overview) -> None:
        """Settle a run whose process is dead, and give back what a run lost with a deleted index or in a crash."""
        if state.status == QUEUED and state.pid is None:
            is_waiting = any(entry.run_id == run.run_id for entry in seen.queue)
            if not is_waiting and time.time() - state.updated_at > LOST_AFTER_S:
                self._store.index.enqueue(run.run_id, state.device or run.train_section().device)
        elif state.pid is None or state.pid_started is None or not is_alive(state.pid, state.pid_started):
            self._settle(run)
        elif state.status == RUNNING and not any(lock.run_id == run.run_id for lock in seen.locks):
            owner = (self._lock_name(state.device), run.run_id, state.pid, state.pid_started)
            if self._store.index.claim_device(*owner):
                self._store.index.hand_over_device(*owner)

    def _follow(self, working: set[str]) -> None:
        """Tell of runs that other processes started, and of their end."""
        started_here = set(self._workers)
        for run_id in sorted(working - self._at_work - started_here):
            self._tell("found", run_id, f"Run {run_id} is at work.")
        for run_id in sorted(self._at_work - working - started_here):
            self._escalation.forget(run_id)
            with self._border(run_id):
                run = self._run(run_id)
                if run.folder.exists():
                    self._tell_end(run, run.state())
        self._at_work = working | started_here

    def _find_worker(self, run_id: str, locks: list[DeviceLock]) -> tuple[int, float] | None:
        if run_id in self._workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                return process_identity(self._workers[run_id][0].pid)
        return next(((lock.pid, lock.pid_started) for lock in locks if lock.run_id == run_id and lock.is_worker), None)

    def _start_next(self, queue: list[QueuedRun], locks: list[DeviceLock]) -> None:
        """Start the first startable run of each free device, and take out of the queue what has begun."""
        held = [lock for lock in locks if lock.is_worker or lock.pid != self._me[0]]
        begun = {lock.run_id for lock in held} | set(self._workers)
        busy = {lock.device for lock in held} | {device for _, device in self._workers.values()}
        for entry in queue:
            if entry.run_id in begun:
                with self._border(entry.run_id):
                    if self._run(entry.run_id).status != QUEUED:
                        self._store.index.remove_queued(entry)
            elif time.monotonic() >= self._retry_at.get(entry.run_id, 0):
                device = self._lock_name(entry.device)
                if not is_lane(device) and any(are_in_conflict(device, other) for other in busy):
                    busy.add(device)  # nobody overtakes it: lanes must not keep a run that wants the whole CPU waiting
                else:
                    with self._border(entry.run_id, is_starting=True):
                        self._start(entry, busy)

    def _start(self, entry: QueuedRun, busy: set[str]) -> None:
        """Claim the device and start the worker; the run stays in the queue until it is seen running, or over."""
        run = self._run(entry.run_id)
        wanted = self._check_entry(entry, run)
        device = None if wanted is None else _choose_device(run, wanted, busy)
        if device is None:
            return
        busy.add(device)  # also when it fails: the next run has its chance at the next look
        if self._store.index.claim_device(device, run.run_id, *self._me):
            if device != wanted:
                if run.status != QUEUED:  # somebody has cancelled it meanwhile
                    self._store.index.release_claims(run.run_id)
                    return
                run.write_state(device=device)  # the worker takes the device that its run's state names
            self._workers[run.run_id] = (start_worker(run), device)
            self._tell("started", run.run_id, f"Run {run.run_id} started on {device}.")

    def _check_entry(self, entry: QueuedRun, run: Run) -> str | None:
        """The device that a queued run is for; one that must not be started is taken out of the queue."""
        try:
            state = self._store.settle(run).state()
            if state.status == QUEUED and state.pid is None:
                return self._lock_name(state.device or run.train_section().device)
            why = "a process waits for a device for it" if state.status == QUEUED else f"it is {state.status}"
        except RunError as error:
            why = str(error).rstrip(".")
        self._store.index.remove_queued(entry)
        self._tell("removed", run.run_id, f"Run {run.run_id} was taken out of the queue: {why}.")
        return None

    def _lock_name(self, device: str | None) -> str:
        name = device or "auto"
        if name not in self._device_names:
            self._device_names[name] = lock_name(name)  # once: for "auto" it asks the GPU's driver
        return self._device_names[name]

    def _run(self, run_id: str) -> Run:
        return Run(self._store.folder_of(run_id))

    @contextlib.contextmanager
    def _border(self, run_id: str, *, is_starting: bool = False) -> Iterator[None]:
        """Keep trouble with one run to that run: it is told once, and a run that could not be started has failed."""
        try:
            yield
        except Exception as error:  # one bad run must end neither the loop nor the queue
            run = self._run(run_id)
            failure = describe_failure(error, folder=run.folder, device="the machine", batch_size=None)
            text = failure.text
            if self._problems.get(run_id) != text:
                self._problems[run_id] = text
                self._tell("problem", run_id, f"Run {run_id}: {text}")
                if failure.traceback is not None:  # once: a bug stays loud
                    print(failure.traceback, file=sys.stderr, flush=True)
            if is_starting:
                self._retry_at[run_id] = time.monotonic() + RETRY_S
                self._give_up(run, error, text)

    def _give_up(self, run: Run, error: Exception, text: str) -> None:
        if not isinstance(error, MedPeftError):  # such a one comes from the index, and is no fault of the run
            with contextlib.suppress(MedPeftError, OSError):
                self._store.end_run(run, FAILED, error=f"The run could not be started. {text}")
        with contextlib.suppress(RunError):
            self._store.index.release_claims(run.run_id)

    def _tell(self, kind: EventKind, run_id: str, text: str, status: str | None = None) -> None:
        self.events.append(SupervisorEvent(kind, run_id, text, status))

    def _tell_end(self, run: Run, state: RunState) -> None:
        if state.is_finished:
            self._tell(
                "ended", run.run_id, f"Run {run.run_id} {state.status}. {state.error or ''}".strip(), state.status
            )


def _choose_device(run: Run, wanted: str, busy: set[str]) -> str | None:
    """The device that a run can have now: its own, or for a lane of the CPU any free one; None while it must wait."""
    if is_lane(wanted):
        return find_free_lane(wanted, max(run.config().train.cpu_threads, 1), busy)
    return None if any(are_in_conflict(wanted, other) for other in busy) else wanted
