"""The event log of a run: append-only JSON lines that survive a crash in the middle of a line."""

import json
import math
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

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


def read_events(
    path: Path, offset: int = 0, *, types: Collection[str] | None = None
) -> tuple[list[dict[str, Any]], int]:
    """The whole events after `offset`, and the offset to go on from.

    A line without its end is left for the next call; a damaged line is skipped. A log that is shorter than `offset` was
    replaced and is read from its beginning.

    Args:
        path: the log; one that is missing is empty.
        offset: bytes to pass over.
        types: only these; lines of other types are not even parsed, so a long log is read several times faster.
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
    lines = whole.split(b"\n")
    if types is None:
        return [event for line in lines if (event := _parse(line)) is not None], offset + len(whole)
    marks = [json.dumps(name).encode() for name in types]
    likely = (line for line in lines if any(mark in line for mark in marks))
    found = [event for line in likely if (event := _parse(line)) is not None and event["type"] in types]
    return found, offset + len(whole)


def make_finite(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become None, tuples lists, NumPy numbers and arrays plain ones."""
    if isinstance(value, dict):
        return {str(key): make_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_finite(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return make_finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
