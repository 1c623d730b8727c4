"""How long work in the core tells how far it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Called again and again by work that takes longer than two seconds.

    Whoever listens draws a bar, derives the ETA, and may raise an exception to stop the work; the work must then leave
    nothing half-written behind.
    """

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell that `done` of `total` units of `what` (a short phrase such as "decoding images") are finished."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """A listener that does nothing."""
