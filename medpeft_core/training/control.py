"""How training talks to whoever runs it: it emits events, tells its progress, and asks whether to stop."""

from typing import Any, Protocol


class Control(Protocol):
    """The worker's side is `worker/control.py`; a benchmark or a test brings its own."""

    def should_stop(self) -> bool:
        """Whether somebody asked for a stop; cheap enough for every forward pass."""

    def emit(self, event: dict[str, Any]) -> None:
        """Append an event; its time is added."""

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
        """Tell where the run is; what is None stays as it was."""


class SilentControl:
    """Nobody listens and nobody stops."""

    def should_stop(self) -> bool:
        return False

    def emit(self, event: dict[str, Any]) -> None:
        pass

    def set_progress(self, **_: Any) -> None:
        pass
