"""The cells of the finding among the runs of a home: which are made, which are at work, and what is left to do. Light.

A run belongs to a cell when its config says so, whoever started it: a run that was copied, or made by hand with the
same settings, counts, and nothing else has to be remembered.
"""

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.lessons.likeness import is_run_of
from medpeft_core.lessons.protocol import Cell, Protocol, Role
from medpeft_core.runs.lanes import count_lanes
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import CANCELLED, FAILED, FINISHED, INTERRUPTED, PAUSED, QUEUED, RUNNING, STOPPED
from medpeft_core.runs.store import RunStore

WORKING = (QUEUED, RUNNING, PAUSED)
RESUMABLE = (STOPPED, INTERRUPTED, CANCELLED)
# of several runs of one cell, the one that is nearest to a result counts
ORDER = (FINISHED, RUNNING, PAUSED, QUEUED, *RESUMABLE)


@dataclass(frozen=True, kw_only=True)
class CellState:
    """A cell and its run.

    Attributes:
        cell: the cell.
        run_id: of its run; None while there is none. A failed run counts as none: the next start makes a new one.
        status: of that run, or None.
        eta_s: seconds to its end, as it says itself; None where it does not.
        wall_time_s: of a finished run.
        test_auroc: of a finished run; None where it has none.
    """

    cell: Cell
    run_id: str | None = None
    status: str | None = None
    eta_s: float | None = None
    wall_time_s: float | None = None
    test_auroc: float | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far the cells are, in their order."""

    cells: tuple[CellState, ...]

    @property
    def num_all(self) -> int:
        return len(self.cells)

    @property
    def num_done(self) -> int:
        return sum(item.status == FINISHED for item in self.cells)

    @property
    def is_working(self) -> bool:
        """A cell is queued or at work."""
        return any(item.status in WORKING for item in self.cells)

    @property
    def is_done(self) -> bool:
        return self.num_done == self.num_all

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.num_done / self.num_all if self.cells else 0.0

    def finished_ids(self) -> tuple[str, ...]:
        """The runs that are finished, in the order of the cells."""
        return tuple(item.run_id for item in self.cells if item.status == FINISHED and item.run_id)

    def estimate_s(self, forecast_s: dict[tuple[str, float], float] | None = None) -> float | None:
        """Seconds until all cells are done on this machine, from those that are; None while nothing is known.

        Args:
            forecast_s: (method, fraction) to the seconds of one run, used where no cell of that kind is done.
        """
        known = {**(forecast_s or {}), **self.median_times_s()}
        left = 0.0
        for item in self.cells:
            if item.status == FINISHED:
                continue
            kind = (item.cell.method, item.cell.fraction)
            if item.status == RUNNING and item.eta_s is not None:
                left += item.eta_s
            elif kind in known:
                left += known[kind]
            else:
                return None
        return left / count_lanes(1)

    def median_times_s(self) -> dict[tuple[str, float], float]:
        """(method, fraction) to the median time of its finished runs in seconds."""
        times: dict[tuple[str, float], list[float]] = {}
        for item in self.cells:
            if item.wall_time_s is not None:
                times.setdefault((item.cell.method, item.cell.fraction), []).append(item.wall_time_s)
        return {kind: statistics.median(values) for kind, values in times.items()}


def look(store: RunStore, protocol: Protocol, cells: Sequence[Cell], *, role: Role = "reported") -> Standing:
    """Where the cells stand in a home.

    Args:
        store: of the home.
        protocol: whose cells they are.
        cells: such as `protocol.list_cells(is_short=True)`.
        role: whether these are reported or development runs.
    """
    wanted: dict[tuple[Any, ...], list[tuple[Cell, RunConfig]]] = {}
    for cell in cells:
        config = protocol.build_config(cell, role=role)
        wanted.setdefault(_sketch_config(config), []).append((cell, config))
    found: dict[Cell, dict[str, Any]] = {}
    for line in list_summaries(store):
        # the line is quick to get but says little: the learning rate and more are in the config
        for cell, config in wanted.get(_sketch_line(line), ()):
            if line["status"] in ORDER and _is_nearer(line, found.get(cell)) and _has_config(store, line, config):
                found[cell] = line
    return Standing(cells=tuple(_describe(cell, found.get(cell)) for cell in cells))


def find_runs(store: RunStore, standing: Standing) -> dict[str, Run]:
    """Key of each finished cell to its run."""
    return {
        item.cell.key: store.load(item.run_id) for item in standing.cells if item.status == FINISHED and item.run_id
    }


def list_missing(protocol: Protocol, standing: Standing, *, role: Role = "reported") -> list[RunConfig]:
    """The configs of the cells that have no run yet."""
    return [protocol.build_config(item.cell, role=role) for item in standing.cells if item.run_id is None]


def list_failures(store: RunStore, protocol: Protocol, standing: Standing, *, role: Role = "reported") -> list[Run]:
    """The failed runs of cells that have no other run, newest first; they count as not made."""
    wanted: dict[tuple[Any, ...], list[RunConfig]] = {}
    for config in list_missing(protocol, standing, role=role):
        wanted.setdefault(_sketch_config(config), []).append(config)
    return [
        store.load(line["run_id"])
        for line in list_summaries(store)
        if line["status"] == FAILED
        and any(_has_config(store, line, config) for config in wanted.get(_sketch_line(line), ()))
    ]


def requeue(store: RunStore, standing: Standing) -> int:
    """Put cells that were stopped back into the queue, where they go on from their checkpoints; gives how many.

    Raises:
        RunError: the disk is full.
    """
    stopped = [item.run_id for item in standing.cells if item.status in RESUMABLE and item.run_id]
    for run_id in stopped:
        store.requeue(run_id)
    return len(stopped)


def stop(store: RunStore, standing: Standing) -> int:
    """Take the waiting cells out of the queue and ask those at work to stop with a checkpoint; gives how many."""
    waiting = [item.run_id for item in standing.cells if item.status == QUEUED and item.run_id]
    working = [item.run_id for item in standing.cells if item.status in (RUNNING, PAUSED) and item.run_id]
    num_stopped = 0
    for run_id in [*reversed(waiting), *working]:  # the last first: none must start while others are being stopped
        with contextlib.suppress(RunError):  # it has ended meanwhile
            store.request_stop(run_id)
            num_stopped += 1
    return num_stopped


def _sketch_config(config: RunConfig) -> tuple[Any, ...]:
    return (config.data.dataset, config.data.fraction, config.backbone.name, config.backbone.weights,
            config.method.name, config.train.seed)  # fmt: skip


def _sketch_line(line: dict[str, Any]) -> tuple[Any, ...]:
    names = ("dataset", "fraction", "backbone", "weights", "method", "seed")
    return tuple(line.get(name) for name in names)


def _is_nearer(line: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return other is None or ORDER.index(line["status"]) < ORDER.index(other["status"])


def _has_config(store: RunStore, line: dict[str, Any], wanted: RunConfig) -> bool:
    try:
        return is_run_of(Run(store.folder_of(line["run_id"])).config(), wanted)
    except RunError:  # damaged
        return False


def _describe(cell: Cell, line: dict[str, Any] | None) -> CellState:
    if line is None:
        return CellState(cell=cell)
    metrics = line["metrics"]
    is_finished = line["status"] == FINISHED
    return CellState(
        cell=cell,
        run_id=line["run_id"],
        status=line["status"],
        eta_s=line.get("eta_s"),
        wall_time_s=metrics.get("wall_time_s") if is_finished else None,
        test_auroc=metrics.get("test_auroc") if is_finished else None,
    )
