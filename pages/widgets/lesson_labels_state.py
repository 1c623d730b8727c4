"""What the page of the first lesson knows: protocol, stored result, own runs, and the result made from them."""

import statistics
from typing import Any

import streamlit as st

from medpeft_core.lessons.cells import Standing, find_runs, list_failures, look
from medpeft_core.lessons.protocol import PROTOCOL_PATH, Protocol, load_protocol
from medpeft_core.lessons.stored import StoredFinding, load_stored
from medpeft_core.runs.run import Run
from pages.widgets.lab import get_lab

JOB_TITLE = "Few labels: drawing the images and setting the runs up"

TELLING_S = 10.0  # a run that is shorter tells little of a computer's speed

Times = dict[tuple[str, float], float]


def get_protocol() -> Protocol:
    """That of the lesson.

    Raises:
        ConfigError: its file is missing or damaged.
    """
    return _load_protocol(PROTOCOL_PATH.stat().st_mtime_ns if PROTOCOL_PATH.exists() else 0)


def get_stored() -> StoredFinding | None:
    """The result that ships with the lab, or None where there is none.

    Raises:
        MedPeftError: it is damaged.
    """
    return load_stored()


def look_at(protocol: Protocol, *, is_short: bool) -> Standing:
    """Where the runs of this home stand.

    Raises:
        ConfigError: the protocol does not say all of a run.
    """
    return look(get_lab().store, protocol, protocol.list_cells(is_short=is_short))


def build_own_result(protocol: Protocol, standing: Standing, *, is_short: bool) -> dict[str, Any] | None:
    """The result of the finished runs of this home; None while there is none. Made once for each set of runs.

    Raises:
        MedPeftError: the files of a run are missing or damaged.
    """
    if not standing.num_done:
        return None
    return _build(find_runs(get_lab().store, standing), protocol, protocol.identity, standing.finished_ids(), is_short)


def read_stored_times(protocol: Protocol, stored: StoredFinding | None) -> Times:
    """(method, fraction) to the median seconds of a stored run: the first guess of how long one takes here.

    Raises:
        RunError: a stored run is damaged.
    """
    if stored is None or stored.result["protocol"] != protocol.identity:
        return {}  # of another protocol: its runs have other lengths
    return _read_times(stored, protocol, protocol.identity, stored.made_at)


def scale_times(times: Times, standing: Standing) -> Times:
    """The same, made longer or shorter by how much faster or slower this computer was with the runs that ended here."""
    measured = standing.median_times_s()
    # linear probing takes a second, or a minute where it must compute the features first: no measure of a computer
    ratios = [measured[kind] / times[kind] for kind in measured if times.get(kind, 0.0) >= TELLING_S]
    factor = statistics.median(ratios) if ratios else 1.0
    return {kind: seconds * factor for kind, seconds in times.items()}


def read_failures(protocol: Protocol, standing: Standing) -> list[tuple[str, str]]:
    """Id and error of each failed run of a cell that has no other run, newest first."""
    failed = list_failures(get_lab().store, protocol, standing)
    return [(run.run_id, run.state().error or "The reason is not known.") for run in failed]


def find_job() -> Any | None:
    """The job that prepares the images and queues the runs, while it works."""
    return next((job for job in get_lab().jobs.list_jobs() if job.title == JOB_TITLE and not job.is_finished), None)


def find_last_job() -> Any | None:
    """The newest such job, at work or not."""
    return next((job for job in get_lab().jobs.list_jobs() if job.title == JOB_TITLE), None)


@st.cache_data(show_spinner=False, max_entries=2)
def _load_protocol(changed_ns: int) -> Protocol:
    return load_protocol()


@st.cache_data(show_spinner="Making figures and intervals of the finished runs.", max_entries=32)
def _build(
    _runs: dict[str, Run], _protocol: Protocol, identity: str, run_ids: tuple[str, ...], is_short: bool
) -> dict[str, Any]:
    from medpeft_core.lessons.result import build_result  # scipy takes half a second

    return build_result(_runs, _protocol, is_short=is_short, known=_get_known())


@st.cache_resource(show_spinner=False)
def _get_known() -> dict[str, Any]:
    """Run ids to what was measured of them, so that each run is measured once by this server."""
    return {}


@st.cache_data(show_spinner=False, max_entries=2)
def _read_times(_stored: StoredFinding, _protocol: Protocol, identity: str, made_at: float) -> Times:
    times: dict[tuple[str, float], list[float]] = {}
    for cell in _protocol.list_cells(is_short=False):
        run = _stored.runs.get(cell.key)
        seconds = None if run is None else (run.metrics() or {}).get("wall_time_s")
        if seconds is not None:
            times.setdefault((cell.method, cell.fraction), []).append(seconds)
    return {kind: statistics.median(values) for kind, values in times.items()}
