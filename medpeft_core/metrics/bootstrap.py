"""Confidence intervals by drawing patients with replacement: images of one patient are alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medpeft_core.errors import MetricError
from medpeft_core.metrics.weighted import Ranking, WeightedRanking

CELLS_AT_ONCE = 1_000_000  # of a (resamplings, images) array: fits a processor's cache, and keeps NumPy busy
CLASSES_AT_ONCE = 128  # rankings of thousands of classes would not fit into memory

WeightedMetric = Callable[[WeightedRanking], np.ndarray]
WEIGHTED_METRICS: dict[str, WeightedMetric] = {
    "auroc": WeightedRanking.compute_auroc,
    "auprc": WeightedRanking.compute_average_precision,
}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A percentile interval; NaN where no resampling was valid.

    Attributes:
        low: lower end.
        high: upper end.
        num_valid_samples: resamplings in which the metric was defined; the others are left out.
    """

    low: float
    high: float
    num_valid_samples: int


@dataclass(frozen=True, kw_only=True)
class BootstrapResult:
    """Intervals by name of the metric.

    Attributes:
        per_class: one for each of the K classes.
        macro: of the mean over the classes that are defined on the full data; a resampling that lacks one is left out.
    """

    per_class: dict[str, list[Interval]]
    macro: dict[str, Interval]


def bootstrap_intervals(
    probs: np.ndarray,
    targets: np.ndarray,
    patients: np.ndarray,
    *,
    num_samples: int,
    confidence: float,
    seed: int,
    metrics: Sequence[str] = ("auroc", "auprc"),
) -> BootstrapResult:
    """Percentile intervals of every class and of their mean, from resampled patients.

    The order of the images does not matter.

    Args:
        probs: (N, K) scores.
        targets: (N, K) 0, 1 or NaN where the label is unknown.
        patients: (N,) ids; the id of the image where patients are not known.
        num_samples: resamplings.
        confidence: level, such as 0.95.
        seed: the same seed and patients give the same resamplings for any scores, so that two models can be compared.
        metrics: names in `WEIGHTED_METRICS`.

    Raises:
        MetricError: shapes differ, a score is NaN, a patient is missing, or a number is out of range.

    Reference: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13; for clusters
    Field & Welsh 2007, JRSS B 69(3).
    """
    samples = bootstrap_samples(probs, targets, patients, num_samples=num_samples, seed=seed, metrics=metrics)
    has_both = np.any(np.equal(targets, 1), axis=0) & np.any(np.equal(targets, 0), axis=0)
    per_class, macro = {}, {}
    for name, values in samples.items():
        per_class[name] = [percentile_interval(column, confidence) for column in values.T]
        defined = values[:, has_both]
        means = defined.mean(axis=1) if has_both.any() else np.full(len(values), np.nan)  # NaN where one class is
        macro[name] = percentile_interval(means, confidence)
    return BootstrapResult(per_class=per_class, macro=macro)


def bootstrap_samples(
    probs: np.ndarray,
    targets: np.ndarray,
    patients: np.ndarray,
    *,
    num_samples: int,
    seed: int,
    metrics: Sequence[str] = ("auroc", "auprc"),
) -> dict[str, np.ndarray]:
    """Each metric in each resampling: name to (num_samples, K), NaN where undefined. As `bootstrap_intervals`."""
    probs, targets = np.asarray(probs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if probs.ndim != 2 or probs.shape != targets.shape:
        raise MetricError(f"probs have shape {probs.shape} and targets {targets.shape}, but both must be (N, K).")
    patient_index, num_patients = number_patients(patients, len(probs))
    if num_samples < 1:
        raise MetricError(f"num_samples is {num_samples}, but it must be 1 or more.")
    samples = {name: np.full((num_samples, probs.shape[1]), np.nan) for name in metrics}
    for first in range(0, probs.shape[1], CLASSES_AT_ONCE):
        columns = range(first, min(first + CLASSES_AT_ONCE, probs.shape[1]))
        rankings = {k: _rank_class(probs[:, k], targets[:, k], patient_index) for k in columns}
        for start, counts in draw_patients(num_patients, num_samples, len(probs), seed):
            for k, (ranking, owners) in rankings.items():
                weighted = WeightedRanking.build(ranking, np.take(counts, owners, axis=1))
                for name in metrics:
                    samples[name][start : start + len(counts), k] = WEIGHTED_METRICS[name](weighted)
    return samples


def _rank_class(probs: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> tuple[Ranking, np.ndarray]:
    """The ranking of one class over the images whose label is known, and the patient of each place in it."""
    rows = np.flatnonzero(~np.isnan(targets))
    ranking = Ranking.build(probs[rows], targets[rows])
    return ranking, patients[rows][ranking.order]


def bootstrap_means(values: np.ndarray, patients: np.ndarray, *, num_samples: int, seed: int) -> np.ndarray:
    """(num_samples,) mean over the images, such as accuracy, in each resampling of the patients.

    Args:
        values: (N,) one number an image.
        patients: (N,) ids.
        num_samples: resamplings.
        seed: as for `bootstrap_intervals`.
    """
    patient_index, num_patients = number_patients(patients, len(values))
    sums = np.bincount(patient_index, weights=values, minlength=num_patients)
    sizes = np.bincount(patient_index, minlength=num_patients)
    draws = draw_patients(num_patients, num_samples, len(values), seed)
    return np.concatenate([(counts @ sums) / (counts @ sizes) for _, counts in draws])


def percentile_interval(samples: np.ndarray, confidence: float) -> Interval:
    """The middle `confidence` of the samples that are not NaN.

    Raises:
        MetricError: `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise MetricError(f"confidence is {confidence}, but it must be between 0 and 1, such as 0.95.")
    valid = samples[~np.isnan(samples)]
    if len(valid) == 0:
        return Interval(low=float("nan"), high=float("nan"), num_valid_samples=0)
    low, high = np.quantile(valid, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=float(low), high=float(high), num_valid_samples=len(valid))


def number_patients(patients: np.ndarray, num_images: int) -> tuple[np.ndarray, int]:
    """(N,) number of each image's patient, by sorted id, and how many patients there are.

    Raises:
        MetricError: an id is missing, or there is not one for each image.
    """
    ids = np.asarray(patients, dtype=object)
    if ids.shape != (num_images,):
        raise MetricError(
            f"patients have shape {ids.shape}, but there must be one for each of the {num_images} images."
        )
    if num_images == 0:
        raise MetricError("There are no images to draw from. Check the split.")
    is_missing = [item is None or item != item for item in ids]
    if any(is_missing):
        raise MetricError(
            f"{sum(is_missing)} images have no patient id. Use the image's id where the patient is not known."
        )
    unique, index = np.unique(ids.astype(str), return_inverse=True)
    return index, len(unique)


def draw_patients(num_patients: int, num_samples: int, num_images: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Resamplings in portions: number of the first, and (S, patients) how often each patient is drawn.

    The draws do not depend on the portions, which are as large as (resamplings, `num_images`) numbers may be.
    """
    rng = np.random.default_rng(seed)
    portion = max(1, CELLS_AT_ONCE // num_images)
    for start in range(0, num_samples, portion):
        size = min(portion, num_samples - start)
        counts = np.empty((size, num_patients), dtype=np.int32)
        for row in counts:
            row[:] = np.bincount(rng.integers(0, num_patients, size=num_patients), minlength=num_patients)
        yield start, counts
