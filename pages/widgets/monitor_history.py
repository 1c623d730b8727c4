"""The event log of a run as the page needs it at each tick: read a little further, drawn anew only where it grew."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.runs.run import Run
from medpeft_core.runs.tail import HistoryTail

MAX_OPEN = 8


class LiveHistory:
    """One run's events, and the charts that were built from them; shared by all visitors of the server.

    Args:
        path: the event log.
    """

    def __init__(self, path: Path) -> None:
        self._tail = HistoryTail(path)
        self._built: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def read(self) -> list[dict[str, Any]]:
        """All events of the run in its present form, oldest first."""
        return self._tail.read()

    def remember(self, name: str, options: tuple[Any, ...], build: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The Vega-Lite spec that `build` gives, called again only when the log has grown or the options are others.

        Args:
            name: of the chart.
            options: everything beside the events that the chart depends on.
            build: makes the spec with its rows inside; they are kept as a table, which costs less to send at each tick.
        """
        made_from = (self._tail.position, options)
        with self._lock:
            kept = self._built.get(name)
            if kept is None or kept[0] != made_from:
                spec = build()
                kept = (made_from, {**spec, "data": pd.DataFrame(spec["data"]["values"])})
                self._built[name] = kept
            return kept[1]


def open_history(run: Run) -> LiveHistory:
    """The history of a run; the same one for every visitor."""
    return _open(str(run.events_path))


def find_last(history: list[dict[str, Any]], kind: str, **values: Any) -> dict[str, Any]:
    """The newest event of a type whose fields have these values, or an empty dict."""
    for event in reversed(history):
        if event["type"] == kind and all(event.get(name) == value for name, value in values.items()):
            return event
    return {}


@st.cache_resource(show_spinner=False, max_entries=MAX_OPEN)
def _open(path: str) -> LiveHistory:
    return LiveHistory(Path(path))
