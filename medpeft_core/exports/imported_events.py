"""Whether the event log of an unpacked run is one that pages and figures can compute with. Light."""

import json
from pathlib import Path
from typing import Any

from medpeft_core.exports.imported_values import (
    COUNT,
    IS_COUNT,
    IS_NUMBER,
    IS_TEXT,
    NUMBER,
    TEXT,
    Types,
    check_items,
    check_time,
    check_types,
    parse_object,
)

MAX_LINE_BYTES = 1 << 20  # an evaluation of 10,000 labels has half of that
MAX_EVENTS = 500_000  # a run tells of about twenty in an epoch; a page holds them all in memory

_PLACE: Types = {"epoch": IS_COUNT, "step": IS_COUNT}
_TYPES: dict[str, Types] = {
    "step": {**_PLACE, "loss": NUMBER, "lr": IS_NUMBER, "images_per_s": IS_NUMBER},
    "eval": {
        **_PLACE, "split": TEXT, "val_auroc": NUMBER, "val_loss": NUMBER, "val_auroc_per_class": (dict, type(None)),
    },
    "epoch": {
        **_PLACE, "train_loss": NUMBER, "train_images_per_s": NUMBER, "data_wait_frac": NUMBER,
        "peak_memory_bytes": COUNT,
    },
    "rebuilt": {**_PLACE, "picture": IS_TEXT, "masked_error": NUMBER, "mean_fill_error": NUMBER},
    "encoder": {**_PLACE, "file": IS_TEXT, "train_loss": NUMBER},
    "status": {"status": IS_TEXT, "step": COUNT, "error": TEXT},
    "error": {"text": TEXT, "traceback": TEXT},
    "log": {"text": TEXT},
}  # fmt: skip
_NEEDED = {
    "step": ("epoch", "step", "loss", "lr", "images_per_s"),
    "eval": ("epoch", "step", "val_auroc"),
    "epoch": ("epoch", "step", "train_loss"),
    "rebuilt": ("epoch", "picture"),
    "encoder": ("epoch", "file"),
}


def check_events(path: Path) -> None:
    """Look at every line of a log; a missing log is an empty one.

    A line that was torn by a crash is passed over, as readers do; it begins like an event, and is no JSON.

    Raises:
        ValueError: names the line, and what is wrong with it.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
            if number > MAX_EVENTS:
                raise ValueError(f"it has more than {MAX_EVENTS:,} lines")
            try:
                _check_line(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _check_line(line: bytes) -> None:
    try:
        event = parse_object(line)
    except json.JSONDecodeError:
        if line.startswith(b"{"):
            return
        raise
    check_event(event)


def check_event(event: dict[str, Any]) -> None:
    """Refuse an event that a page could not draw; one of an unknown type needs a type and a time only.

    Raises:
        ValueError: names the field.
    """
    check_types(event, {"type": IS_TEXT, "time": NUMBER}, needed=("type",))
    check_time(event.get("time"))
    kind = event["type"]
    check_types(event, _TYPES.get(kind, {}), needed=_NEEDED.get(kind, ()))
    if kind == "eval":
        check_items(event.get("val_auroc_per_class"), NUMBER, "val_auroc_per_class")
