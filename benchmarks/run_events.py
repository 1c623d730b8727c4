"""What stands in for a worker where a benchmark trains a run in its own process."""

from typing import Any

from medpeft_core.runs.run import Run
from medpeft_core.training.control import SilentControl


class RunEvents(SilentControl):
    """Writes a run's events and nothing else."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def emit(self, event: dict[str, Any]) -> None:
        self.run.emit(event)
