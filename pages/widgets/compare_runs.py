"""The runs of a comparison with their files read once, short names, and what makes them hard to compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from medpeft_core.reports.compare import build_run_names
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from pages.widgets.monitor_results import NO_PATIENTS
from pages.widgets.wording import SYNTHETIC


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One of the runs.

    Attributes:
        name: what was trained, short; no two runs of a comparison have the same.
        summary: as `list_summaries` gives it.
        metrics: metrics.json of a finished run, else None.
        provenance: where it comes from.
    """

    run: Run
    name: str
    summary: dict[str, Any]
    metrics: dict[str, Any] | None
    provenance: dict[str, Any]

    @property
    def test(self) -> dict[str, Any] | None:
        """The figures on the test images; None before the run is finished."""
        return self.metrics["test"] if self.metrics else None


def load_compared(
    store: RunStore, summaries: Sequence[dict[str, Any]], run_ids: Sequence[str]
) -> tuple[list[ComparedRun], list[str]]:
    """The runs in the order given, and the ids of damaged ones, which are left out.

    Raises:
        RunError: a file was damaged since the listing was made.
    """
    by_id = {item["run_id"]: item for item in summaries}
    whole = [by_id[run_id] for run_id in run_ids if by_id[run_id]["status"] is not None]
    names = build_run_names(whole)
    compared = []
    for summary in whole:
        run = store.load(summary["run_id"])
        compared.append(
            ComparedRun(
                run=run,
                name=names[run.run_id],
                summary=summary,
                metrics=run.metrics() if summary["status"] == FINISHED else None,
                provenance=run.provenance(),
            )
        )
    return compared, [run_id for run_id in run_ids if by_id[run_id]["status"] is None]


def is_any_synthetic(runs: Sequence[ComparedRun]) -> bool:
    """Whether one of the runs is on synthetic images."""
    return any(item.provenance.get("is_synthetic") for item in runs)


def add_run_ids(rows: pd.DataFrame, runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """The table of a chart with the id of each run after its name, which other comparisons may give to other runs."""
    ids = {item.name: item.run.run_id for item in runs}
    rows = rows.copy()
    if "run" in rows.columns:
        rows.insert(rows.columns.get_loc("run") + 1, "run_id", rows["run"].map(ids))
    return rows


def write_levels(runs: Sequence[ComparedRun]) -> str:
    """What the intervals of a chart are: "with 95 % intervals"."""
    levels = sorted({item.test["confidence"] for item in runs if item.test})
    return f"with {' or '.join(f'{100 * level:g} %' for level in levels)} intervals"


def find_caveats(runs: Sequence[ComparedRun]) -> list[str]:
    """Why the figures of these runs do not stand on the same ground, one sentence each; none when they do."""
    caveats = []
    synthetic = {bool(item.provenance.get("is_synthetic")) for item in runs}
    labels = {tuple(item.provenance.get("labels", ())) for item in runs}
    fingerprints = {item.provenance.get("data_fingerprint") for item in runs}
    if len(synthetic) > 1:
        caveats.append(
            "Some of these runs saw images of patients and some synthetic ones, so a higher AUROC may only mean easier "
            "images."
        )
    if len({item.summary["dataset"] for item in runs}) > 1:
        caveats.append("These runs were tested on different data sets.")
    elif len(labels) > 1:
        caveats.append("These runs have different labels, so their means are over different findings.")
    elif len(fingerprints) > 1:
        caveats.append("These runs were trained and tested on different images, patients or splits of the data set.")
    return caveats


def find_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """What must be said beside the figures, one sentence each."""
    notes = []
    unfinished = [item for item in runs if item.metrics is None]
    if unfinished:
        noun = "1 of these runs is" if len(unfinished) == 1 else f"{len(unfinished)} of these runs are"
        notes.append(f"{noun} not finished: curves so far only, and no test figures.")
    if any(item.metrics and item.metrics["training"].get("num_train_patients") is None for item in runs):
        notes.append(NO_PATIENTS)
    synthetic = [item for item in runs if item.provenance.get("is_synthetic")]
    if synthetic and len(synthetic) < len(runs):
        notes.append(f"Of {', '.join(item.name for item in synthetic)}: {SYNTHETIC[0].lower()}{SYNTHETIC[1:]}")
    elif synthetic:
        notes.append(SYNTHETIC)
    return notes
