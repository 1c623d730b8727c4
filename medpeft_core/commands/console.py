"""What all commands share of the terminal: one JSON object on stdout, progress with an ETA on stderr, tables."""

import json
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from medpeft_core.runs.events import make_finite

PLAIN_EVERY_S = 10.0
QUIET_FIRST_S = 1.0


def print_json(value: Any) -> None:
    """The one JSON object of a command; a number that does not exist is null."""
    print(json.dumps(make_finite(value), indent=1, allow_nan=False))


def tell(text: str) -> None:
    """A sentence for people; it never mixes with the JSON."""
    print(text, file=sys.stderr, flush=True)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str = "") -> None:
    """A table on stdout; numbers stand to the right."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    filled = [["" if cell is None else cell for cell in row] for row in rows]
    for index, name in enumerate(columns):
        is_number = bool(filled) and all(isinstance(row[index], int | float) or row[index] == "" for row in filled)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in filled:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


class ProgressBar:
    """Shows work that takes longer than a second: a bar with ETA in a terminal, else a line every ten seconds.

    Works as the `progress` argument of the core.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._started = time.monotonic()
        self._last_line = self._started
        self._what, self._what_started = "", self._started
        self._done_before = 0  # what is there when a phase begins is no measure of its speed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._what_started, self._done_before = what, now, done
        if now - self._started < QUIET_FIRST_S:
            return
        if sys.stderr.isatty():
            self._draw(what, done, total)
        elif now - self._last_line > PLAIN_EVERY_S:
            self._last_line = now
            gained = done - self._done_before
            left = (now - self._what_started) / gained * (total - done) if gained > 0 else None
            far = f": {done} of {total}" if total else " ..."
            tell(f"{what}{far}" + (f", about {describe_seconds(left)} left" if left is not None else ""))

    def _draw(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total or None, completed=done)  # None: no end is known
        self._bar.update(self._tasks[what], completed=done, total=total or None)


def describe_seconds(seconds: float) -> str:
    """ "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def describe_interval(value: float | None, low: float | None, high: float | None) -> str:
    """ "0.812 (0.780 to 0.840)", or "n/a"."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
