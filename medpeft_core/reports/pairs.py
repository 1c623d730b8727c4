"""How far runs lie apart on the same test images: difference of the macro AUROC, interval and p-value. Light.

Everything is computed from stored predictions. Both runs of a pair see the same resamplings of the patients, so what
makes an image hard for both does not blur the difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from medpeft_core.errors import RunError
from medpeft_core.metrics.paired import adjust_holm, compare_samples, sample_macro_auroc
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.support import Support, count_positives, find_thin
from medpeft_core.runs.run import Run

TEST_NAME = "paired patient-level bootstrap of the macro AUROC"
NUM_SAMPLES, MIN_SAMPLES = 2000, 200
MAX_CELLS = 5_000_000_000  # resamplings of all images and labels: a quarter of a minute; thousands of labels get fewer
SEED = 20240121  # fixed: a comparison of stored predictions gives the same numbers whenever it is made
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class TestSample:
    """The test images of one run, and its macro AUROC in each resampling of their patients.

    Attributes:
        run_id: of the run.
        dataset: name of its data set; other sets may use the same image names.
        auroc: macro AUROC on the whole test set, as metrics.json has it; None where it has no meaning.
        labels: the K labels.
        images: (N,) names, sorted.
        targets: (N, K) in that order.
        clusters: (N,) the first image of each image's patient; its own name where patients are not known.
        samples: (S,) macro AUROC of each resampling, NaN where a label lacks a class.
        support: label to its positives.
    """

    __test__ = False  # not a test of pytest

    run_id: str
    dataset: str
    auroc: float | None
    labels: tuple[str, ...]
    images: np.ndarray
    targets: np.ndarray
    clusters: np.ndarray
    samples: np.ndarray
    support: dict[str, Support]


def sample_run(run: Run) -> TestSample:
    """Read the test predictions of a run and resample their patients; seconds for tens of thousands of images.

    Raises:
        RunError: the run was not evaluated, or its predictions are damaged.
    """
    predictions, metrics = load_predictions(run, "test"), run.metrics() or {}
    table = predictions.table
    order = np.argsort(table["image"].to_numpy(dtype=str), kind="stable")
    table = table.iloc[order]
    has_patients = bool(table["patient_id"].notna().all())
    # pseudonyms differ from home to home, and with them the resamplings; first image names do not
    clusters = table.groupby("patient_id")["image"].transform("min") if has_patients else table["image"]
    targets = predictions.targets()[order]
    return TestSample(
        run_id=run.run_id,
        dataset=str(metrics.get("dataset")),
        auroc=metrics.get("test_auroc"),
        labels=predictions.labels,
        images=table["image"].to_numpy(dtype=str),
        targets=targets,
        clusters=clusters.to_numpy(dtype=str),
        samples=sample_macro_auroc(
            predictions.probs()[order],
            targets,
            clusters.to_numpy(dtype=str),
            num_samples=max(MIN_SAMPLES, min(NUM_SAMPLES, MAX_CELLS // max(targets.size, 1))),
            seed=SEED,
        ),
        support=count_positives(
            targets, predictions.labels, table["patient_id"].to_numpy(dtype=str) if has_patients else None
        ),
    )


def compare_pairs(
    runs: Sequence[Run],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    sample: Callable[[Run], TestSample] = sample_run,
) -> list[dict[str, Any]]:
    """Each pair of runs, in the order given.

    Args:
        runs: any runs; those without test figures are in no test.
        pairs: run ids of those to compare; None for every run with every later one.
        sample: `sample_run`, or something that remembers what it gave.

    Returns:
        For each pair: `a, b` (run ids), `delta_auroc` (test AUROC of b minus that of a; None when one has none), `low,
        high` (its interval), `p_value` (two-sided), `p_value_holm` (corrected for all pairs of this answer), `test`
        (its name), `confidence`, `num_drawn` (resamplings), `num_samples` (those that had a value: images of both
        classes for every label), `num_images`, `num_patients`, `rare_labels` (those with too few positives, rarest
        first: `label, num_positive, num_positive_patients`), and `reason`: why there is no test, in which case the
        numbers of the test are None.
    """
    samples: dict[str, TestSample | str] = {}
    for run in runs:
        try:
            samples[run.run_id] = sample(run) if run.metrics() is not None else f"{run.run_id} has no test figures yet"
        except RunError as error:
            samples[run.run_id] = str(error).rstrip(".")
    wanted = pairs if pairs is not None else list(combinations([run.run_id for run in runs], 2))
    answers = [_compare(a, b, samples[a], samples[b]) for a, b in wanted]
    tested = [answer for answer in answers if answer["p_value"] is not None]
    for answer, adjusted in zip(tested, adjust_holm([answer["p_value"] for answer in tested]), strict=True):
        answer["p_value_holm"] = adjusted
    return answers


def find_obstacle(first: TestSample, second: TestSample) -> str | None:
    """Why two runs cannot be tested against each other, as half a sentence; None when they can."""
    if first.dataset != second.dataset:
        return "they were tested on different data sets"
    if first.labels != second.labels:
        return "they have different labels"
    shared = len(np.intersect1d(first.images, second.images))
    if shared == 0:
        return "they were tested on different images"
    if len(first.images) != shared or len(second.images) != shared:
        return (
            f"they were tested on different images: {len(first.images):,} and {len(second.images):,}, "
            f"of which {shared:,} are the same"
        )
    if not np.array_equal(first.targets, second.targets, equal_nan=True):
        return "the truth of some test images differs"
    if not np.array_equal(first.clusters, second.clusters):
        return "they know different patients of the test images"
    return None


def _compare(a: str, b: str, first: TestSample | str, second: TestSample | str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "a": a, "b": b, "delta_auroc": None, "low": None, "high": None, "p_value": None, "p_value_holm": None,
        "test": None, "confidence": None, "num_drawn": None, "num_samples": None, "num_images": None,
        "num_patients": None, "rare_labels": None, "reason": None,
    }  # fmt: skip
    for item in (first, second):
        if isinstance(item, str):
            return {**answer, "reason": item}
    assert isinstance(first, TestSample)
    assert isinstance(second, TestSample)
    if first.auroc is None or second.auroc is None:
        return {**answer, "reason": "one of them has no AUROC: no label has images of both classes"}
    answer["delta_auroc"] = second.auroc - first.auroc
    obstacle = find_obstacle(first, second)
    if obstacle:
        return {**answer, "reason": obstacle}
    found = compare_samples(first.samples, second.samples, confidence=CONFIDENCE)
    if found.interval.num_valid_samples == 0:
        return {**answer, "reason": "no resampling had images of both classes for every label"}
    return {
        **answer,
        "low": found.interval.low,
        "high": found.interval.high,
        "p_value": found.p_value,
        "test": TEST_NAME,
        "confidence": CONFIDENCE,
        "num_drawn": len(first.samples),
        "num_samples": found.interval.num_valid_samples,
        "num_images": len(first.images),
        "num_patients": len(np.unique(first.clusters)),
        "rare_labels": [
            {"label": label, "num_positive": item.num_images, "num_positive_patients": item.num_patients}
            for label, item in find_thin(first.support).items()
        ],
    }
