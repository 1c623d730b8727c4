"""The history of a run: its events without what a resumed run did again; each look reads only what is new. Light."""

import threading
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from medpeft_core.runs.events import read_events

MARK_BYTES = 256
_ONCE_TYPES = frozenset({"eval", "epoch", "rebuilt", "encoder"})  # the last two tell of a pre-training
_PROGRESS_TYPES = frozenset({"step", *_ONCE_TYPES})


class LogPosition(NamedTuple):
    """How far a log was read.

    Attributes:
        offset: bytes that were read, whole lines only.
        mark: checksum of the last bytes before `offset`; another one there means that the log was replaced.
    """

    offset: int = 0
    mark: int = 0


START = LogPosition()


class HistoryTail:
    """All events that a run in its present form is made of; may be asked again and again, and shared by threads.

    A run that is killed and resumed at step S does the later steps again: what it told of them before is removed. One
    that was killed after telling of an epoch, but before its checkpoint, tells of it twice: the second time counts.

    Args:
        path: the log; it need not exist yet.
        position: where an earlier tail of this log stood, to go on from there.
        history: what it had kept; leave out events that are not wanted, of evaluations keep `type`, `step`, `split`.
        types: only these, and "status", which says what was done again; None for all.
    """

    def __init__(
        self,
        path: Path,
        *,
        position: LogPosition = START,
        history: Iterable[dict[str, Any]] = (),
        types: Collection[str] | None = None,
    ) -> None:
        self._path = path
        self._types = None if types is None else frozenset({*types, "status"})
        self._position = position
        self._lock = threading.Lock()
        self._begin(history)

    @property
    def position(self) -> LogPosition:
        """How far the log was read by the last `read`."""
        return self._position

    def read(self) -> list[dict[str, Any]]:
        """All events in order, without the progress that a resumed run did not continue from; a list of its own."""
        with self._lock:
            is_same = _compute_mark(self._path, self._position.offset) == self._position.mark
            start = self._position.offset if is_same else 0
            events, offset = read_events(self._path, start, types=self._types)
            if start == 0 or offset < start:  # the first look, or another log than before
                self._begin(())
            for event in events:
                self._add(event)
            if events or not is_same or offset != start:
                self._position = LogPosition(offset, _compute_mark(self._path, offset))
            return list(self._history)

    def _begin(self, history: Iterable[dict[str, Any]]) -> None:
        self._history: list[dict[str, Any]] = []
        self._told: dict[tuple[Any, ...], dict[str, Any]] = {}  # what happens once at a step, which is kept once
        for event in history:
            self._add(event)

    def _add(self, event: dict[str, Any]) -> None:
        if event["type"] == "status" and event.get("status") == "resumed":
            self._undo_after(event.get("step"))
        if event["type"] in _ONCE_TYPES:
            key = (event["type"], event.get("step"), event.get("split"))
            if (earlier := self._told.get(key)) is not None:  # told twice: the second time counts
                self._history = [kept for kept in self._history if kept is not earlier]
            self._told[key] = event
        self._history.append(event)

    def _undo_after(self, resumed_step: Any) -> None:
        """Forget the progress beyond the step that a resumed run goes on from."""
        if not isinstance(resumed_step, int | float):
            return
        self._history = [event for event in self._history if not _is_progress_after(event, resumed_step)]
        self._told = {key: event for key, event in self._told.items() if not _is_progress_after(event, resumed_step)}


def _is_progress_after(event: dict[str, Any], resumed_step: float) -> bool:
    step = event.get("step")
    return event["type"] in _PROGRESS_TYPES and isinstance(step, int | float) and step > resumed_step


def _compute_mark(path: Path, offset: int) -> int:
    begin = max(0, offset - MARK_BYTES)
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return zlib.crc32(file.read(offset - begin))
    except FileNotFoundError:
        return 0
