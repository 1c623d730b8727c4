"""One line about each run of a kind, cached in the index so that a page with many runs reads few files. Light.

What a line holds is said by `listing` for runs that fine-tune and by `pretrain_listing` for those that pre-train.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.states import FINISHED_STATES, RunState
from medpeft_core.runs.store import RunStore
from medpeft_core.runs.tail import START, HistoryTail, LogPosition

MAX_CURVE_POINTS = 30
DAY_S = 86_400.0
_FILES = ("config.json", "provenance.json", "state.json", "meta.json", "metrics.json", "events.jsonl")
_STATE_KEYS = (
    "status", "phase", "epoch", "epochs", "step", "num_steps", "eta_s", "device", "error", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LineKind:
    """How the line about one kind of runs is made.

    Attributes:
        version: another text makes every kept line be made anew.
        summarise: the line without what the events tell; status None for a damaged run.
        types: of the events that the line is made of.
        keys: of these events; `type`, `step` and `split` are needed to know which was told twice.
        tell: what the events, in order, add to the line; always the same names.
    """

    version: str
    summarise: Callable[[Run], dict[str, Any]]
    types: tuple[str, ...]
    keys: tuple[str, ...]
    tell: Callable[[list[dict[str, Any]]], dict[str, Any]]


class _Found(NamedTuple):
    """A run with what the system says about its files, by name."""

    run: Run
    files: dict[str, os.stat_result]

    def fingerprint(self, version: str) -> str:
        """Changes with the files that a line is made of; what stands for the events comes last."""
        stats = (self.files.get(name) for name in _FILES)
        marks = ("-" if stat is None else f"{stat.st_mtime_ns}.{stat.st_size}" for stat in stats)
        return " ".join((version, *marks))

    def age(self) -> tuple[str, int, str]:
        written = self.files.get("provenance.json")  # the name tells the minute only
        return self.run.run_id[:13], written.st_mtime_ns if written else 0, self.run.run_id


def list_lines(store: RunStore, folder: Path, kind: LineKind) -> list[dict[str, Any]]:
    """The lines about the runs in a folder, newest first.

    Args:
        store: whose index keeps the lines.
        folder: where the runs of this kind lie.
        kind: how a line is made.
    """
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    with contextlib.suppress(RunError):  # without the cache, on a full disk, the listing is slower and still right
        known = store.index.listing()
    summaries, changed = [], []
    for found in sorted(_scan(folder), key=_Found.age, reverse=True):
        run_id, fingerprint = found.run.run_id, found.fingerprint(kind.version)
        kept_fingerprint, line = known.get(run_id, ("", {}))
        if fingerprint != kept_fingerprint:
            line = line if kept_fingerprint.startswith(f"{kind.version} ") else {}
            has_same_events = fingerprint.rpartition(" ")[2] == kept_fingerprint.rpartition(" ")[2]
            line = _make_line(found.run, kind, line, has_same_events=has_same_events)
            changed.append((run_id, fingerprint, line))
        summaries.append(line["summary"])
    if changed:
        with contextlib.suppress(RunError):
            store.index.save_listings(changed)
    return summaries


def name_run(run: Run) -> dict[str, Any]:
    """What is said of a run even when it is damaged: its id, and when it was made."""
    return {"run_id": run.run_id, "created_at": _find_creation(run)}


def describe_state(state: RunState) -> dict[str, Any]:
    """What a line says of where a run is."""
    return {name: getattr(state, name) for name in _STATE_KEYS}


def thin_curve(values: list[float | None], max_points: int) -> list[float | None]:
    """At most `max_points` of the values, evenly spread, the first and the last among them."""
    if len(values) <= max_points:
        return values
    return [values[round(at * (len(values) - 1) / (max_points - 1))] for at in range(max_points)]


def _make_line(run: Run, kind: LineKind, kept: dict[str, Any], *, has_same_events: bool) -> dict[str, Any]:
    """What is kept of a run: its summary, and while it is at work how far its events were read and what they told."""
    summary = kind.summarise(run)
    if summary.get("status") is None:
        return {"summary": {**summary, **kind.tell([])}}
    if has_same_events and "events" in kept:
        followed = {"position": kept["position"], "events": kept["events"]}
        told = {name: kept["summary"][name] for name in kind.tell([])}
    else:
        tail = HistoryTail(
            run.events_path,
            position=LogPosition(*kept.get("position", START)),
            history=kept.get("events", ()),
            types=kind.types,
        )
        history = [event for event in tail.read() if event["type"] in kind.types]
        events = [{key: event.get(key) for key in kind.keys} for event in history]
        told = kind.tell(events)
        followed = {"position": tail.position, "events": events}
    if summary["status"] in FINISHED_STATES:  # every listing reads what is kept, and a finished run's are not wanted
        followed = {"position": START, "events": []}
    return {"summary": {**summary, **told}, **followed}


def _scan(folder: Path) -> list[_Found]:
    """The runs in a folder with one look into each; folders of other origin or half made are left out."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_run_id(entry.name)]
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile, or a plain file
            found.append(_Found(Run(folder / name), _stat_files(folder / name)))
    return [item for item in found if "config.json" in item.files or "state.json" in item.files]


def _stat_files(folder: Path) -> dict[str, os.stat_result]:
    with os.scandir(folder) as entries:  # on Windows this needs no further call for each file
        return {entry.name: entry.stat() for entry in entries if entry.name in _FILES}


def _find_creation(run: Run) -> float | None:
    """When the run was made: to the second by a file written then, unless that was copied; else by its name."""
    try:
        named = datetime.strptime(run.run_id[:13], "%Y%m%d-%H%M").timestamp()
    except ValueError:  # a name with a month 13
        named = None
    try:
        written = run.provenance_path.stat().st_mtime
    except OSError:
        return named
    return written if named is None or abs(written - named) < DAY_S else named  # names are in local time of anywhere
