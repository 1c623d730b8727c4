"""Setting runs up: all are checked before the first is made, and all are made and queued, or none."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import PreparedData, prepare_datasets
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.errors import RunError
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.lanes import find_queue
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.check import check_run
from medpeft_core.training.provenance import collect_provenance


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A run that was checked and can be made.

    Attributes:
        config: complete; its base weights are stored in the lab.
        provenance: what its folder will say of where it comes from.
    """

    config: RunConfig
    provenance: dict[str, Any]


def set_up_runs(
    store: RunStore, configs: list[RunConfig], *, progress: Progress = ignore_progress, may_decode: bool = True
) -> list[Run]:
    """Prepare the data of some configs, check them all, then make their runs and put them into the queue in order.

    Args:
        store: where the runs shall live.
        configs: resolved or not.
        progress: may raise to stop; then no run is left.
        may_decode: false: refuse data that would have to be drawn or decoded first, which can take long.

    Raises:
        MedPeftError: one of the runs cannot start as it is, or the disk is full; then none was made.
    """
    resolved = [resolve_config(config) for config in configs]
    sections = [config.data for config in resolved]
    prepared = prepare_datasets(sections, progress=progress, may_decode=may_decode)
    return create_runs(store, check_runs(resolved, prepared, progress=progress), progress=progress)


def check_runs(
    configs: Sequence[RunConfig], prepared: Sequence[PreparedData], *, progress: Progress = ignore_progress
) -> list[RunPlan]:
    """Build the model of each run once; no run is made. Only base weights may stay in the lab.

    Args:
        configs: of the runs.
        prepared: the data of each.
        progress: told before each check.

    Raises:
        MedPeftError: one of the runs cannot start as it is.
    """
    plans = []
    for done, (config, data) in enumerate(zip(configs, prepared, strict=True)):
        progress("checking", done, len(configs))
        checked = check_run(config, data)
        plans.append(RunPlan(config=checked.config, provenance=collect_provenance(checked, data)))
    progress("checking", len(configs), len(configs))
    return plans


def create_runs(store: RunStore, plans: Sequence[RunPlan], *, progress: Progress = ignore_progress) -> list[Run]:
    """Make the folders of some runs and put them into the queue, in order. All of them, or none.

    Args:
        store: where they shall live.
        plans: what `check_runs` gave.
        progress: told before each run; not any more once the first is in the queue, where it may be taken at once.

    Raises:
        RunError: the disk is full; the runs made so far are removed again.
    """
    store.index.queued()  # a new index fills itself from the folders, by name; ours shall be queued in their own order
    devices = [find_queue(plan.config) for plan in plans]
    runs: list[Run] = []
    try:
        for plan in plans:
            progress("creating runs", len(runs), len(plans))
            runs.append(store.create(plan.config, provenance=plan.provenance, device=devices[len(runs)]))
        progress("creating runs", len(plans), len(plans))
        for run, device in zip(runs, devices, strict=True):
            store.index.enqueue(run.run_id, device)
    except BaseException:
        for run in runs:
            with contextlib.suppress(RunError, OSError):  # why it failed is said by the first error
                store.delete(run.run_id)
                store.purge_deleted([run.run_id])  # nobody has seen it: nothing to bring back
        raise
    return runs
