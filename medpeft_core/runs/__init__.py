"""Runs: their folders, what becomes of them, and the index that coordinates the processes at work. Light."""

from medpeft_core.runs.index import LabIndex
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED_STATES, STATUSES, RunState, Status
from medpeft_core.runs.store import RunStore

__all__ = ["FINISHED_STATES", "STATUSES", "LabIndex", "Run", "RunState", "RunStore", "Status"]
