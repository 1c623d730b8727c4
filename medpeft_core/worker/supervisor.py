"""The thread that takes queued runs: one leads for each home, all others watch and take over when it is gone. Light."""

import threading
import traceback
from typing import Literal

from filelock import FileLock, Timeout

from medpeft_core.errors import MedPeftError
from medpeft_core.paths import ensure_dir
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.dispatch import Dispatcher, SupervisorEvent

THREAD_NAME = "medpeft-supervisor"
LOCK_NAME = "supervisor.lock"
JOIN_S = 10.0
FIRST_TRY_S = 5.0

Role = Literal["leader", "viewer"]


class SupervisorThread(threading.Thread):
    """A thread that says how to end it, to whoever finds it without knowing its supervisor."""

    def __init__(self, supervisor: "Supervisor") -> None:
        super().__init__(name=THREAD_NAME, daemon=True)
        self.stop_event = threading.Event()
        self._supervisor = supervisor

    def run(self) -> None:
        self._supervisor.work_until(self.stop_event)


class Supervisor:
    """Starts queued runs of one home in order, one at a time on each device, and settles what dead workers left.

    Several may exist for a home, in one process or in many: the one that holds the file lock leads, the others are
    viewers. The system frees the lock of a process that dies, however it dies. Workers outlive their supervisor.

    Args:
        store: the runs; nothing is opened before `start`.
        poll_s: seconds between two looks.
    """

    def __init__(self, store: RunStore, *, poll_s: float = 0.5) -> None:
        self.store = store
        self._poll_s = poll_s
        self._dispatcher = Dispatcher(store)
        self._lock = FileLock(store.home / LOCK_NAME, thread_local=False)
        self._thread: SupervisorThread | None = None
        self._has_role = threading.Event()
        self._is_leader = False
        self._problem: str | None = None

    def start(self) -> None:
        """Start the thread, unless it is at work already; it has tried to lead when this returns."""
        if self.is_alive:
            return
        self.stop()  # a thread that was told to end by somebody else may be at its last look
        self._has_role.clear()
        self._thread = SupervisorThread(self)
        self._thread.start()
        self._has_role.wait(FIRST_TRY_S)  # milliseconds; without it the leader would show itself as a viewer at first

    def stop(self) -> None:
        """End the thread and free the lock; returns when both are done, which takes one look. Workers live on."""
        if self._thread is not None:
            self._thread.stop_event.set()
            self._thread.join(timeout=JOIN_S)

    @property
    def is_alive(self) -> bool:
        """Whether the thread is at work and was not told to end."""
        thread = self._thread
        return thread is not None and thread.is_alive() and not thread.stop_event.is_set()

    @property
    def role(self) -> Role:
        """Whether it takes the queued runs, or another one does; a viewer tries again at every look."""
        return "leader" if self._is_leader else "viewer"

    @property
    def is_idle(self) -> bool:
        """Whether it leads, and at its last look no run of the home was queued or at work."""
        return self._is_leader and self._dispatcher.is_idle

    @property
    def problem(self) -> str | None:
        """What kept the last look from being made, for people; None when all is well."""
        return self._problem

    def take_events(self) -> list[SupervisorEvent]:
        """What happened since the last call, oldest first; the oldest are lost when nobody asks for long."""
        events = self._dispatcher.events
        return [events.popleft() for _ in range(len(events))]

    def work_until(self, stop_event: threading.Event) -> None:
        """The thread's work: look again and again until the event is set."""
        try:
            while not stop_event.is_set():
                self._look()
                stop_event.wait(self._poll_s)
        finally:
            if self._is_leader:
                self._is_leader = False
                self._dispatcher.let_go()
            self._lock.release()

    def _look(self) -> None:
        try:
            is_leader = self._lead()
            self._has_role.set()
            if is_leader:
                self._dispatcher.look()
            self._problem = None
        except Exception as error:  # a full disk or a bug at one look must not end the queue
            problem = str(error) if isinstance(error, MedPeftError) else f"{type(error).__name__}: {error}"
            if problem != self._problem and not isinstance(error, MedPeftError):
                traceback.print_exception(error)  # once, not twice a second: a bug stays loud
            self._problem = problem
            self._has_role.set()

    def _lead(self) -> bool:
        """Whether this one leads, having tried."""
        if self._is_leader:
            return True
        ensure_dir(self.store.home)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        self._dispatcher.take_over()
        self._is_leader = True
        return True


def stop_older_supervisors() -> int:
    """End every supervisor thread of this process, also those whose module was loaded anew since; returns how many.

    A server that reloads its code forgets the objects, but the threads go on.
    """
    found = [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]
    older = [thread for thread in found if isinstance(getattr(thread, "stop_event", None), threading.Event)]
    for thread in older:
        thread.stop_event.set()  # type: ignore[attr-defined]  # another load of the class is another class
    for thread in older:
        thread.join(timeout=JOIN_S)
    return len(older)
