"""Asks the compute process, which holds torch, for what pages need. Light: starts, feeds, watches and ends it."""

import concurrent.futures
import heapq
import itertools
import json
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medpeft_core import errors
from medpeft_core.errors import ComputeError, MedPeftError
from medpeft_core.worker.compute_child import ComputeChild, find_last_words

PROGRAM = "medpeft_core.worker.compute_process"
IDLE_S = 600.0  # without a request; its libraries hold a gigabyte
START_LIMIT_S = 180.0  # imports take 8 s on a laptop, but a cold disk or a busy machine can take minutes
LIMIT_S = 120.0
LIMITS_S = {"launch": 600.0, "mask_shortcut": 600.0, "inspect_weights": 600.0}
PRIORITIES = {
    "launch": 0,
    "speed": 2,
    "pace_pretraining": 2,
    "explain_ahead": 3,
}  # a lower number goes first, all other kinds are 1
_NO_OPERATION = "ping"

Answer = dict[str, Any]


@dataclass(eq=False, kw_only=True)
class _Job:
    """One request: `line` is what the process reads, `limit_s` how long it may work on it."""

    kind: str
    line: bytes
    limit_s: float
    slot: str | None = None
    future: "concurrent.futures.Future[Answer]" = field(default_factory=concurrent.futures.Future)


class ComputeClient:
    """The way to one compute process, for all threads of this one; starts nothing before the first request.

    One request is worked on at a time. The others wait in order of priority, then of arrival. The process ends when
    nobody asked for `idle_s`, at `close`, and when this process ends in whatever way. The next request starts a new
    one.

    Args:
        home: the lab's folder.
        idle_s: how long a process without work is kept.
        program: the module that the process runs; tests bring their own.
    """

    def __init__(self, home: Path, *, idle_s: float = IDLE_S, program: str = PROGRAM) -> None:
        self._home = home
        self._idle_s = idle_s
        self._program = program
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int, _Job]] = []
        self._slots: dict[str, _Job] = {}
        self._numbers = itertools.count()
        self._current: _Job | None = None
        self._child: ComputeChild | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, kind: str, *, slot: str | None = None, **arguments: Any) -> "concurrent.futures.Future[Answer]":
        """Ask without waiting.

        Args:
            kind: what to do; `compute_process.py` lists all.
            slot: a newer request of the same slot cancels this one if it has not begun.
            arguments: plain JSON values.

        Returns:
            A future with the answer or a `MedPeftError`.
        """
        return self._enqueue(kind, arguments, slot=slot, limit_s=LIMITS_S.get(kind, LIMIT_S)).future

    def request(self, kind: str, *, timeout_s: float | None = None, **arguments: Any) -> Answer:
        """Ask and wait.

        Args:
            kind: what to do.
            timeout_s: for waiting in line, for a process that must start, and for the work; None is what its kind gets.
            arguments: plain JSON values.

        Raises:
            MedPeftError: what the process found wrong.
            ComputeError: it died, met a fault, or took too long; then it is killed and the request given up.
        """
        limit_s = timeout_s if timeout_s is not None else LIMITS_S.get(kind, LIMIT_S)
        job = self._enqueue(kind, arguments, limit_s=limit_s)
        try:
            return job.future.result(limit_s)
        except TimeoutError:
            if job.future.cancel():
                raise ComputeError(
                    f"The request {kind!r} waited {limit_s:g} s while the compute process was busy. Try again later."
                ) from None
            self._give_up(job)
            raise _too_long(kind, limit_s) from None
        except concurrent.futures.CancelledError:
            raise _closed_error() from None

    def warm_up(self) -> None:
        """Start the process and its imports; does not wait."""
        self.submit(_NO_OPERATION, slot=_NO_OPERATION)

    @property
    def is_warm(self) -> bool:
        """Whether the process has finished importing, so that an answer will not wait for it."""
        child = self._child
        return child is not None and child.is_ready and child.is_alive

    def close(self) -> None:
        """Kill the process and refuse all requests, those that wait included."""
        with self._changed:
            self._is_closed = True
            waiting, self._waiting = self._waiting, []
            child, self._child = self._child, None
            self._changed.notify_all()
        for _, _, job in waiting:
            job.future.cancel()
        if child is not None:
            child.kill()

    def _enqueue(self, kind: str, arguments: dict[str, Any], *, limit_s: float, slot: str | None = None) -> _Job:
        line = json.dumps({"kind": kind, "arguments": arguments}, allow_nan=False).encode() + b"\n"
        job = _Job(kind=kind, line=line, limit_s=limit_s, slot=slot)
        outdated = None
        with self._changed:
            if self._is_closed:
                job.future.set_exception(_closed_error())
                return job
            if slot is not None:
                outdated = self._slots.get(slot)
                self._slots[slot] = job
            heapq.heappush(self._waiting, (PRIORITIES.get(kind, 1), next(self._numbers), job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="compute", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if outdated is not None:
            outdated.future.cancel()  # outside the lock: it calls whatever hangs on the future
        return job

    def _serve(self) -> None:
        while (job := self._next_job()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                answer = self._ask(job)
            except MedPeftError as error:
                job.future.set_exception(error)
            except OSError as error:
                job.future.set_exception(ComputeError(f"The compute process could not be started: {error}."))
            else:
                job.future.set_result(answer)

    def _next_job(self) -> _Job | None:
        """Wait for the next request, and end a process that nobody needs; None after `close`."""
        with self._changed:
            self._current = None
            while not self._waiting and not self._is_closed:
                was_told = self._changed.wait(self._idle_s if self._child is not None else None)
                if not was_told and not self._waiting:
                    self._end_child()
            if self._is_closed:
                return None
            _, _, job = heapq.heappop(self._waiting)
            if job.slot is not None and self._slots.get(job.slot) is job:
                del self._slots[job.slot]
            self._current = job
            return job

    def _ask(self, job: _Job) -> Answer:
        child = self._get_child()
        try:
            if not child.is_greeted:
                child.greet(START_LIMIT_S)
            message = child.ask(job.line, job.limit_s)
        except queue.Empty:
            with self._changed:
                self._end_child()
            raise _too_long(job.kind, job.limit_s if child.is_greeted else START_LIMIT_S) from None
        except EOFError:
            raise self._describe_death(child, job) from None
        if "error" in message:
            raise _build_error(message["error"])
        return dict(message["answer"])

    def _get_child(self) -> ComputeChild:
        with self._changed:
            if self._is_closed:
                raise _closed_error()
            if self._child is None or not self._child.is_alive:
                self._child = ComputeChild(self._home, self._program)
            return self._child

    def _end_child(self) -> None:
        """Kill the process, if there is one; the lock is held."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _give_up(self, job: _Job) -> None:
        with self._changed:
            if self._current is job:
                self._end_child()

    def _describe_death(self, child: ComputeChild, job: _Job) -> ComputeError:
        code = child.wait_for_end()
        if self._is_closed:
            return _closed_error()
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {-code}" + ("; most likely memory ran out" if code == -9 else "")
        if not child.is_greeted:
            return ComputeError(
                f"The compute process could not start ({how}). {find_last_words(child.log_path)} "
                "`python -m medpeft_core doctor` looks for missing packages."
            )
        return ComputeError(
            f"The compute process ended while it worked on {job.kind!r} ({how}). Try again; if it happens again, "
            f"choose a smaller backbone or image size. {child.log_path} may tell more."
        )


def _build_error(described: dict[str, str]) -> MedPeftError:
    """The error that the process named, as the same class."""
    found = getattr(errors, described["type"], None)
    if isinstance(found, type) and issubclass(found, MedPeftError):
        return found(described["text"])
    return ComputeError(described["text"])


def _too_long(kind: str, limit_s: float) -> ComputeError:
    return ComputeError(
        f"The request {kind!r} took longer than {limit_s:g} s and was given up. Try again when the machine has less to "
        "do, or choose a smaller backbone or image size."
    )


def _closed_error() -> ComputeError:
    return ComputeError("The lab is shutting down, so this was not computed. Start it again.")
