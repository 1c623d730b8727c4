"""The event log of a run: append-only JSON lines that survive a crash in the middle of a line."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

_PROGRESS_TYPES = frozenset({"step", "eval", "epoch"})
_APPEND_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


def append_event(path: Path, event: dict[str, Any]) -> None:
    """Append one event as one line, in a single write.

    Args:
        path: the log; made when missing.
        event: needs a `type`; `time` (unix seconds) is added when absent. NaN and infinity become null.

    Raises:
        ValueError: the event has no type.
        OSError: the line could not be written whole; the torn rest is skipped by readers.
    """
    if not isinstance(event.get("type"), str):
        raise ValueError(f"An event needs a type, but got {event!r}.")
    stamped = {"type": event["type"], "time": time.time(), **event}
    line = json.dumps(make_finite(stamped), allow_nan=False).encode() + b"\n"
    handle = os.open(path, _APPEND_FLAGS, 0o644)
    try:
        _write_all(handle, line if _ends_with_newline(handle) else b"\n" + line)
    finally:
        os.close(handle)


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole events after `offset`, and the offset to go on from.

    A line without its end is left for the next call; a damaged line is skipped. A log that is shorter than `offset` was
    replaced and is read from its beginning.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            offset = offset if offset <= size else 0
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    events = [event for line in whole.split(b"\n") if (event := _parse(line)) is not None]
    return events, offset + len(whole)


def read_history(path: Path) -> list[dict[str, Any]]:
    """All events in order, without the progress that a resumed run did not continue from.

    A run that is killed and resumed at step S does the later steps again: what it told of them before is removed. One
    that was killed after telling of an epoch, but before its checkpoint, tells of it twice: the second time counts.
    """
    history: list[dict[str, Any]] = []
    for event in read_events(path)[0]:
        if event["type"] == "status" and event.get("status") == "resumed":
            history = [earlier for earlier in history if not _is_undone(earlier, event.get("step"))]
        history.append(event)
    return _keep_last_of_each(history)


def make_finite(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become None, tuples lists, NumPy numbers and arrays plain ones."""
    if isinstance(value, dict):
        return {str(key): make_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_finite(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return make_finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_undone(event: dict[str, Any], resumed_step: Any) -> bool:
    step = event.get("step")
    if event["type"] not in _PROGRESS_TYPES or not isinstance(step, int | float):
        return False
    return isinstance(resumed_step, int | float) and step > resumed_step


def _keep_last_of_each(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = [(event["type"], event.get("step"), event.get("split")) for event in history]
    last = {key: at for at, key in enumerate(keys)}
    is_once = ("eval", "epoch")
    return [event for at, event in enumerate(history) if event["type"] not in is_once or last[keys[at]] == at]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:  # also what undecodable bytes raise
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def _ends_with_newline(handle: int) -> bool:
    size = os.lseek(handle, 0, os.SEEK_END)
    if size == 0:
        return True
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) == b"\n"


def _write_all(handle: int, data: bytes) -> None:
    written = os.write(handle, data)
    while written < len(data):  # a nearly full disk takes a part; the next write then says why
        written += os.write(handle, data[written:])
