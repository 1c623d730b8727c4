"""The result of the finding as one dict, computed from the stored predictions of its runs. Light.

Intervals speak of new seeds and new test patients at once (`metrics.seeds.estimate_seeds`). Below 100 % of the labels
every seed draws its own training patients; with all of them the intervals say nothing about other training patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from medpeft_core.errors import MetricError, RunError
from medpeft_core.lessons.protocol import FULL, LORA, Cell, Protocol
from medpeft_core.lessons.words import write_answer
from medpeft_core.metrics.bootstrap import bootstrap_samples
from medpeft_core.metrics.seeds import SeedMean, compare_seeds, estimate_seeds
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.runs.run import Run

RESULT_VERSION = 1
MACRO = "macro"
CONFIDENCE = 0.95
NUM_SAMPLES = 2000
SAMPLE_SEED = 20240121  # fixed: stored predictions give the same intervals whenever they are computed
COMMAND = "python -m medpeft_core finding"


@dataclass(frozen=True, kw_only=True, eq=False)
class CellFigures:
    """What one finished run contributes.

    Attributes:
        cell: of the run.
        auroc: label, or "macro", to the test AUROC.
        samples: the same names to (S,) values in resamplings of the test patients.
        facts: what the run says of itself: counts and sizes.
        images: (N,) names of the test images, sorted.
    """

    cell: Cell
    auroc: dict[str, float]
    samples: dict[str, np.ndarray]
    facts: dict[str, Any]
    images: np.ndarray


def measure_run(cell: Cell, run: Run) -> CellFigures:
    """Test AUROC of a run, on all test images and in each resampling of their patients; a tenth of a second.

    Raises:
        RunError: the run was not evaluated, or its predictions are damaged.
    """
    metrics = run.metrics()
    if metrics is None:
        raise RunError(f"The run {run.run_id} has no figures yet. Wait until it is finished, or resume it.")
    predictions = load_predictions(run, "test")
    table = predictions.table
    order = np.argsort(table["image"].to_numpy(dtype=str), kind="stable")
    table, targets = table.iloc[order], predictions.targets()[order]
    has_patients = bool(table["patient_id"].notna().all())
    # pseudonyms differ from home to home, and with them the resamplings; first image names do not
    patients = table.groupby("patient_id")["image"].transform("min") if has_patients else table["image"]
    drawn = bootstrap_samples(
        predictions.probs()[order],
        targets,
        patients.to_numpy(dtype=str),
        num_samples=NUM_SAMPLES,
        seed=SAMPLE_SEED,
        metrics=("auroc",),
    )["auroc"]
    per_class = metrics["test"]["per_class"]
    auroc = {label: per_class[label]["auroc"] for label in predictions.labels}
    values = [np.nan if value is None else value for value in auroc.values()]
    training = metrics.get("training", {})
    return CellFigures(
        cell=cell,
        auroc={MACRO: float(np.mean(values)), **{label: np.nan if v is None else v for label, v in auroc.items()}},
        samples={MACRO: drawn.mean(axis=1), **{label: drawn[:, k] for k, label in enumerate(predictions.labels)}},
        facts={
            **{name: training.get(name) for name in ("num_params", "num_trainable_params", "adapter_bytes")},
            "num_train_images": training.get("num_train_images"),
            "num_steps": training.get("steps_done"),
            "is_synthetic": bool(metrics.get("is_synthetic")),
            "num_train_patients": training.get("num_train_patients"),
            "positives": {
                label: part.get("num_positive") for label, part in run.provenance().get("positives", {}).items()
            },
            "num_test_patients": len(np.unique(patients)),
        },
        images=table["image"].to_numpy(dtype=str),
    )


def build_result(
    runs: Mapping[str, Run], protocol: Protocol, *, is_short: bool, known: dict[str, CellFigures] | None = None
) -> dict[str, Any]:
    """Everything that the lesson shows, from the runs that are finished.

    Args:
        runs: key of a cell to its finished run; others may be missing.
        protocol: whose cells they are.
        is_short: the part that was asked for.
        known: run ids to figures that were measured before; new ones are put into it.

    Returns:
        `schema_version, protocol, is_short, command, is_synthetic, labels, confidence, num_test_images,
        num_test_patients, cells_done, cells_all`; `fractions`: `fraction, num_images, num_patients, num_steps` (updates
        of a run), `positives`, means over the seeds;
        `methods`: `method, title, num_trainable_params, num_params, adapter_bytes`; `points`: `method, fraction,
        label` ("macro" or a finding), `mean, low, high, num_seeds, seeds`; `differences`: `first, second, fraction,
        label, mean` (second minus first), `low, high, num_seeds, num_seeds_better, seed_sd, patient_sd` over the seeds
        that both have; and `words`, a paragraph. Intervals are None with one seed.

    Raises:
        RunError: a run is damaged, or the runs were tested on different images.
    """
    cells = protocol.list_cells(is_short=is_short)
    known = {} if known is None else known
    figures: list[CellFigures] = []
    for cell in cells:
        run = runs.get(cell.key)
        if run is not None:
            if run.run_id not in known:
                known[run.run_id] = measure_run(cell, run)
            figures.append(known[run.run_id])
    _check_same_images(figures)
    labels = [name for name in figures[0].auroc if name != MACRO] if figures else []
    result: dict[str, Any] = {
        "schema_version": RESULT_VERSION,
        "protocol": protocol.identity,
        "is_short": is_short,
        "command": COMMAND + (" --short" if is_short else "") + ("" if protocol.is_shipped else " --protocol FILE"),
        "is_synthetic": all(item.facts["is_synthetic"] for item in figures),
        "labels": labels,
        "confidence": CONFIDENCE,
        "num_test_images": len(figures[0].images) if figures else 0,
        "num_test_patients": figures[0].facts["num_test_patients"] if figures else 0,
        "cells_done": len(figures),
        "cells_all": len(cells),
        "fractions": _describe_fractions(figures, cells),
        "methods": _describe_methods(figures, cells, protocol),
        "points": _list_points(figures, labels),
        "differences": _list_differences(figures, labels, protocol),
    }
    result["words"] = write_answer(result)
    return result


def _check_same_images(figures: Sequence[CellFigures]) -> None:
    for item in figures[1:]:
        if not np.array_equal(item.images, figures[0].images):
            raise RunError(
                f"The runs of {figures[0].cell.key} and {item.cell.key} were tested on different images, so they "
                "cannot be compared. Delete the older of them and start the finding again."
            )


def _describe_fractions(figures: Sequence[CellFigures], cells: Sequence[Cell]) -> list[dict[str, Any]]:
    rows = []
    for fraction in sorted({cell.fraction for cell in cells}):
        facts = {item.cell.seed: item.facts for item in figures if item.cell.fraction == fraction}
        if not facts:
            continue
        names = list(next(iter(facts.values()))["positives"])
        rows.append(
            {
                "fraction": fraction,
                "num_images": _mean([item["num_train_images"] for item in facts.values()]),
                "num_steps": _mean([item["num_steps"] for item in facts.values()]),
                "num_patients": _mean([item["num_train_patients"] for item in facts.values()]),
                "positives": {name: _mean([item["positives"][name] for item in facts.values()]) for name in names},
            }
        )
    return rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _describe_methods(
    figures: Sequence[CellFigures], cells: Sequence[Cell], protocol: Protocol
) -> list[dict[str, Any]]:
    wanted, rows = {cell.method for cell in cells}, []
    for name, method in protocol.methods.items():
        if name not in wanted:
            continue
        facts = next((item.facts for item in figures if item.cell.method == name), {})
        sizes = {key: facts.get(key) for key in ("num_trainable_params", "num_params", "adapter_bytes")}
        rows.append({"method": name, "title": method.title, **sizes})
    return rows


def _list_points(figures: Sequence[CellFigures], labels: Sequence[str]) -> list[dict[str, Any]]:
    points = []
    for (method, fraction), items in _group(figures).items():
        for label in (MACRO, *labels):
            values = np.array([item.auroc[label] for item in items])
            samples = np.stack([item.samples[label] for item in items])
            found = _estimate(values, samples)
            points.append(
                {
                    "method": method,
                    "fraction": fraction,
                    "label": label,
                    **(found if found is not None else {"mean": None, "low": None, "high": None}),
                    "num_seeds": len(items),
                    "seeds": [None if np.isnan(value) else float(value) for value in values],
                }
            )
    return points


def _estimate(values: np.ndarray, samples: np.ndarray) -> dict[str, float | None] | None:
    try:
        found = estimate_seeds(values, samples, confidence=CONFIDENCE)
    except MetricError:  # a label without both classes among the test images
        return None
    return {"mean": found.mean, **_interval(found, len(values))}


def _interval(found: SeedMean, num_seeds: int) -> dict[str, float | None]:
    """One seed says nothing about other seeds, so its interval would promise too much."""
    return {"low": found.low, "high": found.high} if num_seeds > 1 else {"low": None, "high": None}


def _group(figures: Sequence[CellFigures]) -> dict[tuple[str, float], list[CellFigures]]:
    groups: dict[tuple[str, float], list[CellFigures]] = {}
    for item in figures:
        groups.setdefault((item.cell.method, item.cell.fraction), []).append(item)
    return groups


def _list_differences(
    figures: Sequence[CellFigures], labels: Sequence[str], protocol: Protocol
) -> list[dict[str, Any]]:
    groups, rows = _group(figures), []
    pairs = [(FULL, LORA), *combinations([name for name in protocol.methods if name not in (FULL, LORA)], 2)]
    pairs += [(name, main) for name in protocol.methods if name not in (FULL, LORA) for main in (LORA, FULL)]
    for part in protocol.fractions:
        for first, second in pairs:
            one = {item.cell.seed: item for item in groups.get((first, part.fraction), [])}
            two = {item.cell.seed: item for item in groups.get((second, part.fraction), [])}
            seeds = sorted(one.keys() & two.keys())
            if not seeds:
                continue
            for label in (MACRO, *labels):
                row = _compare([one[seed] for seed in seeds], [two[seed] for seed in seeds], label)
                if row is not None:
                    rows.append({"first": first, "second": second, "fraction": part.fraction, "label": label, **row})
    return rows


def _compare(one: Sequence[CellFigures], two: Sequence[CellFigures], label: str) -> dict[str, Any] | None:
    first, second = (np.array([item.auroc[label] for item in items]) for items in (one, two))
    samples = [np.stack([item.samples[label] for item in items]) for items in (one, two)]
    try:
        found = compare_seeds(first, second, samples[0], samples[1], confidence=CONFIDENCE)
    except MetricError:
        return None
    return {
        "mean": found.mean,
        **_interval(found, len(first)),
        "num_seeds": len(first),
        "num_seeds_better": int((second > first).sum()),
        "seed_sd": None if np.isnan(found.seed_sd) else found.seed_sd,
        "patient_sd": found.patient_sd,
    }
