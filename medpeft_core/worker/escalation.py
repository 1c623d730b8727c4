"""Workers that do not stop: who has had time enough, and the end of their whole process tree. Light."""

import contextlib
import threading
import time
from collections.abc import Callable

import psutil

from medpeft_core.runs.index import StopRequest
from medpeft_core.runs.store import DEATH_MESSAGE
from medpeft_core.worker.launch import GRACE_S, HEARD_FACTOR, TERM_WAIT_S, describe_kill
from medpeft_core.worker.processes import kill_tree

MIN_NOTICE_S = 2.0  # a worker that slept together with the machine gets its chance to answer
KILL_AGAIN_S = 15.0

FindWorker = Callable[[str], tuple[int, float] | None]


class Escalation:
    """What happens to stop requests that are not obeyed: after 30 s unheard, or 300 s after they were heard, a kill.

    The time is taken from the first sight on by a clock that stands still while the machine sleeps.
    """

    def __init__(self) -> None:
        self._deadlines: dict[StopRequest, float] = {}
        self._reasons: dict[str, str] = {}

    def watch(self, stops: list[StopRequest]) -> list[StopRequest]:
        """Those of the present stop requests for which somebody must act now."""
        now = time.monotonic()
        self._deadlines = {stop: self._deadlines.get(stop, now + _compute_patience(stop)) for stop in stops}
        return [stop for stop, deadline in self._deadlines.items() if now >= deadline]

    def kill(self, stop: StopRequest, pid: int, started: float) -> None:
        """Begin to end the worker of a run and all of its children: SIGTERM, then SIGKILL. Does not wait."""
        self._deadlines[stop] = time.monotonic() + KILL_AGAIN_S
        self._reasons[stop.run_id] = describe_kill(_limit_s(stop))
        threading.Thread(target=_kill, args=(pid, started), name="medpeft-kill", daemon=True).start()

    def reason(self, run_id: str) -> str:
        """Why a run whose worker is dead has no last word."""
        return self._reasons.get(run_id, DEATH_MESSAGE)

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._reasons.pop(run_id, None)


def _limit_s(stop: StopRequest) -> float:
    return GRACE_S if stop.acknowledged_at is None else GRACE_S * HEARD_FACTOR


def _compute_patience(stop: StopRequest) -> float:
    since = stop.requested_at if stop.acknowledged_at is None else stop.acknowledged_at
    waited_s = max(time.time() - since, 0.0)  # by a clock that was set back nobody has waited
    return max(_limit_s(stop) - waited_s, MIN_NOTICE_S)


def _kill(pid: int, started: float) -> None:
    with contextlib.suppress(psutil.AccessDenied):  # another user's process
        kill_tree(pid, started, term_wait_s=TERM_WAIT_S)
