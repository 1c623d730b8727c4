"""Take queued runs without the app: the supervisor in the foreground."""

import time
from typing import Any

from medpeft_core.commands.console import print_json, tell
from medpeft_core.errors import RunError
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.dispatch import SupervisorEvent
from medpeft_core.worker.supervisor import Supervisor

POLL_S = 0.1


def supervise(*, until_empty: bool, as_json: bool) -> int:
    """Start queued runs until Ctrl-C, or until none is left, and tell what happens; runs at work go on in any case.

    Args:
        until_empty: end when no run of this home is queued or at work.
        as_json: print at the end what was started and what ended meanwhile.

    Returns:
        The exit code, 0.

    Raises:
        RunError: another supervisor takes the queued runs of this home, or the home cannot be used.
    """
    store = RunStore.open_default()
    supervisor = Supervisor(store)
    record = _Record()
    supervisor.start()
    try:
        _check_leads(supervisor)
        tell(f"Taking the queued runs of {store.home}. Ctrl-C ends this; runs at work go on.")
        while not (until_empty and supervisor.is_idle):
            record.take(supervisor)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        tell("No more queued runs are taken. Runs at work go on; `python -m medpeft_core runs` shows them.")
    finally:
        supervisor.stop()
    record.take(supervisor)
    if as_json:
        print_json(record.to_dict())
    return 0


def _check_leads(supervisor: Supervisor) -> None:
    if supervisor.role == "leader":
        return
    home = supervisor.store.home
    if supervisor.problem:
        raise RunError(f"The queued runs of {home} cannot be taken: {supervisor.problem}")
    raise RunError(
        f"The queued runs of {home} are taken already, by an open app or by another `supervise`. Let that one do it, "
        "or end it first."
    )


class _Record:
    """Tells each event in a line as it comes, and keeps what the JSON needs."""

    def __init__(self) -> None:
        self._started: list[str] = []
        self._ended: list[dict[str, Any]] = []
        self._problem: str | None = None

    def take(self, supervisor: Supervisor) -> None:
        for event in supervisor.take_events():
            tell(event.text)
            self._keep(event)
        if supervisor.problem != self._problem:
            self._problem = supervisor.problem
            tell(f"Trying again: {self._problem}" if self._problem else "The trouble is over.")

    def to_dict(self) -> dict[str, Any]:
        return {"started": self._started, "ended": self._ended}

    def _keep(self, event: SupervisorEvent) -> None:
        if event.kind == "started":
            self._started.append(event.run_id)
        elif event.kind == "ended":
            self._ended.append({"run_id": event.run_id, "status": event.status})
