"""What a run can be doing, and the record of it that `state.json` holds."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

Status = Literal["queued", "running", "paused", "stopped", "finished", "failed", "interrupted", "cancelled"]

QUEUED: Final = "queued"
RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"
FINISHED: Final = "finished"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
CANCELLED: Final = "cancelled"

STATUSES: tuple[Status, ...] = get_args(Status)
FINISHED_STATES: frozenset[str] = frozenset({STOPPED, FINISHED, FAILED, INTERRUPTED, CANCELLED})


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where a run is.

    Attributes:
        status: one of `STATUSES`.
        phase: what the worker is at, for people, such as "training"; empty when it has not begun.
        pid: the worker; for a queued run the process that waits for a device for it, or None when it is in the queue.
        pid_started: when that process was created, in unix seconds; pid and start time together name one process.
        epoch: epochs begun, counted from 1; 0 before the first.
        epochs: epochs planned, or None when not known yet.
        updated_at: unix seconds of the last change.
        error: one message for people, when the run failed or was interrupted.
        device: what it runs on, as locked: "cpu", "cuda:0" or "mps".
        step: optimizer steps done; None before the first.
        num_steps: optimizer steps planned.
        eta_s: seconds to the end, estimated.
    """

    status: Status = QUEUED
    phase: str = ""
    pid: int | None = None
    pid_started: float | None = None
    epoch: int = 0
    epochs: int | None = None
    updated_at: float = 0.0
    error: str | None = None
    device: str | None = None
    step: int | None = None
    num_steps: int | None = None
    eta_s: float | None = None

    @property
    def is_finished(self) -> bool:
        """No process works on the run, and none will unless somebody resumes it."""
        return self.status in FINISHED_STATES

    def to_dict(self) -> dict[str, Any]:
        """What `state.json` holds."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The state that `to_dict` described; keys of another version of the lab are ignored.

        Raises:
            ValueError: there is no status, or an unknown one.
        """
        if values.get("status") not in STATUSES:
            raise ValueError(f"status is {values.get('status')!r}, but it must be one of {', '.join(STATUSES)}")
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
