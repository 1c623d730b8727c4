"""Whether two models differ on the same images: a bootstrap that draws the same patients for both."""

from dataclasses import dataclass

import numpy as np

from medpeft_core.errors import MetricError
from medpeft_core.metrics.bootstrap import Interval, bootstrap_samples, percentile_interval


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How far the macro AUROC of a second model lies from that of a first one.

    Attributes:
        interval: percentile interval of the difference, second minus first.
        p_value: two-sided, in (0, 1]; NaN where no resampling was valid.
    """

    interval: Interval
    p_value: float


def sample_macro_auroc(
    probs: np.ndarray, targets: np.ndarray, patients: np.ndarray, *, num_samples: int, seed: int
) -> np.ndarray:
    """(num_samples,) mean over the labels of the AUROC in each resampling of the patients.

    Labels without both classes on the full data are left out; a resampling that lacks a class of another is NaN. Two
    models on the same images and patients, in any order, get the same resamplings from the same seed.

    Args:
        probs: (N, K) scores.
        targets: (N, K) 0, 1 or NaN where unknown.
        patients: (N,) ids.
        num_samples: resamplings.
        seed: of the draws.

    Raises:
        MetricError: as `bootstrap_intervals`.
    """
    options = {"num_samples": num_samples, "seed": seed}
    samples = bootstrap_samples(probs, targets, patients, **options, metrics=("auroc",))["auroc"]  # (S, K)
    has_both = np.any(np.equal(targets, 1), axis=0) & np.any(np.equal(targets, 0), axis=0)
    return samples[:, has_both].mean(axis=1) if has_both.any() else np.full(num_samples, np.nan)


def compare_samples(first: np.ndarray, second: np.ndarray, *, confidence: float) -> PairedDifference:
    """Interval and p-value of second minus first.

    The p-value asks how far the resampled differences reach across 0: twice the smaller of their shares on each side
    of it, each with one added to both counts, so that it is never 0 (Davison & Hinkley 1997, eq. 4.11).

    Args:
        first, second: (S,) figures in the same resamplings; one that is NaN in either is left out.
        confidence: level of the interval, such as 0.95.

    Raises:
        MetricError: the lengths differ, or the confidence is out of range.

    Reference: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 and 16.
    """
    if first.shape != second.shape:
        raise MetricError(f"The samples have shapes {first.shape} and {second.shape}, but they must be the same.")
    differences = second - first
    valid = differences[~np.isnan(differences)]
    if len(valid) == 0:
        return PairedDifference(interval=percentile_interval(differences, confidence), p_value=float("nan"))
    below = (np.count_nonzero(valid <= 0) + 1) / (len(valid) + 1)
    above = (np.count_nonzero(valid >= 0) + 1) / (len(valid) + 1)
    return PairedDifference(
        interval=percentile_interval(differences, confidence), p_value=min(1.0, 2 * min(below, above))
    )


def adjust_holm(p_values: list[float]) -> list[float]:
    """The p-values after Holm's correction for having looked several times, in the same order.

    Reference: Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
