"""What training sees of the world: whether to stop, where to tell events, where to show progress."""

import threading
import time
from typing import Any, Self

from medpeft_core.errors import RunError
from medpeft_core.runs.index import LabIndex
from medpeft_core.runs.run import Run

HEARTBEAT_S = 0.5
MIN_STATE_INTERVAL_S = 0.5


class WorkerControl:
    """Given to the training of one run; a thread beats for it and listens for a stop while it is entered.

    Training uses `should_stop`, `emit` and `set_progress`; everything else is the worker's.
    """

    def __init__(self, run: Run, index: LabIndex) -> None:
        self._run = run
        self._index = index
        self._is_stopping = False  # a plain flag, not an Event: a signal handler may set it at any moment
        self._is_acknowledged = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._emit_lock = threading.Lock()
        self._pending: dict[str, Any] = {}
        self._phase: str | None = None
        self._written_at = float("-inf")

    def should_stop(self) -> bool:
        """Whether to save a checkpoint and end with "stopped"; cheap enough to ask at every micro-batch."""
        return self._is_stopping

    def emit(self, event: dict[str, Any]) -> None:
        """Append an event to the run's log.

        Raises:
            OSError: the disk is full; let it rise.
        """
        with self._emit_lock:
            self._run.emit(event)

    def set_progress(
        self,
        *,
        phase: str | None = None,
        epoch: int | None = None,
        epochs: int | None = None,
        step: int | None = None,
        num_steps: int | None = None,
        eta_s: float | None = None,
    ) -> None:
        """Show where the run is; what is None stays as it was. Call it as often as you like: few calls write.

        A phase such as "decoding images, 12 of 400" is named by what stands before the comma: a new name is shown at
        once, a new count when its time has come.

        Raises:
            OSError: the disk is full; let it rise.
        """
        given = {"phase": phase, "epoch": epoch, "epochs": epochs, "step": step, "num_steps": num_steps, "eta_s": eta_s}
        self._pending.update({name: value for name, value in given.items() if value is not None})
        what = phase.partition(",")[0] if phase is not None else self._phase
        if what != self._phase or time.monotonic() - self._written_at >= MIN_STATE_INTERVAL_S:
            self._phase = what
            self._run.write_state(**self._pending)
            self._pending.clear()
            self._written_at = time.monotonic()

    def ask_to_stop(self) -> None:
        """Make `should_stop` true; safe inside a signal handler."""
        self._is_stopping = True

    def take_pending(self) -> dict[str, Any]:
        """The progress that was not written yet, for the last word about the run."""
        pending, self._pending = self._pending, {}
        return pending

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=10 * HEARTBEAT_S)

    def _beat(self) -> None:
        while True:
            self._index.beat(self._run.run_id)
            self._listen()
            if self._is_over.wait(HEARTBEAT_S):
                return

    def _listen(self) -> None:
        """Look for a stop request and answer it; a full disk is left to the training, which meets it too."""
        try:
            if self._index.is_stop_requested(self._run.run_id):
                self._is_stopping = True
            if self._is_stopping and not self._is_acknowledged:
                self._is_acknowledged = True
                self.emit({"type": "status", "status": "stopping"})
                self._index.acknowledge_stop(self._run.run_id)
        except (RunError, OSError):
            return
