"""The figure of a setting that was trained from several seeds, and the difference of two: seeds and patients count."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from medpeft_core.errors import MetricError


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """The mean over some seeds.

    Attributes:
        mean: of the seeds' figures; of a difference, second minus first.
        low, high: its interval.
        seed_sd: standard deviation of the seeds' figures; NaN with one seed.
        patient_sd: standard deviation that the test patients give to all runs alike.
        degrees: degrees of freedom of the t quantile (Welch and Satterthwaite).
    """

    mean: float
    low: float
    high: float
    seed_sd: float
    patient_sd: float
    degrees: float


def compare_seeds(
    first: np.ndarray, second: np.ndarray, first_samples: np.ndarray, second_samples: np.ndarray, *, confidence: float
) -> SeedMean:
    """How far a second setting lies from a first one, paired by seed and by patient; see `estimate_seeds`.

    Args:
        first, second: (R,) the figure of each run on all test images; the same seed in the same place.
        first_samples, second_samples: (R, S) the same figure in S resamplings of the patients, the same for all runs.
        confidence: level, such as 0.95.

    Raises:
        MetricError: the shapes do not fit, a figure is NaN, or fewer than two resamplings are valid.
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise MetricError(f"The figures have shapes {first.shape} and {second.shape}, but both must be (R,).")
    if first_samples.shape != second_samples.shape or first_samples.shape[:1] != first.shape:
        raise MetricError(
            f"The samples have shapes {first_samples.shape} and {second_samples.shape}, but both must be (R, S) with "
            f"R = {len(first)}."
        )
    return estimate_seeds(second - first, second_samples - first_samples, confidence=confidence)


def estimate_seeds(figures: np.ndarray, samples: np.ndarray, *, confidence: float) -> SeedMean:
    """Interval of a mean over new seeds and new patients.

    Runs and patients are crossed: every run meets every patient. So the variance of the mean is that of the seeds,
    s^2 / R, plus what the patients do to all runs alike. The latter is the mean covariance of two runs over
    resamplings of the patients; their full variance would count what a run and a patient have with each other twice,
    because s^2 holds it already. A percentile bootstrap over a handful of seeds would be too narrow; here the few seeds
    are paid for by a t quantile whose degrees of freedom are those of Welch and Satterthwaite, with the patients'
    variance taken as known. With one seed the interval speaks of new patients only.

    Args:
        figures: (R,) the figure of each run on all test images, or the difference of two.
        samples: (R, S) the same in S resamplings of the patients, the same for all runs; resamplings with a NaN in any
            run are left out.
        confidence: level, such as 0.95.

    Raises:
        MetricError: the shapes do not fit, a figure is NaN, or fewer than two resamplings are valid.

    Reference: Satterthwaite 1946, Biometrics Bulletin 2(6); for crossed effects Owen 2007, Annals of Applied
    Statistics 1(2).
    """
    if figures.ndim != 1 or len(figures) == 0 or samples.ndim != 2 or len(samples) != len(figures):
        raise MetricError(
            f"The figures have shape {figures.shape} and the samples {samples.shape}, but they must be (R,) and (R, S)."
        )
    if not 0.5 <= confidence < 1:
        raise MetricError(f"The confidence is {confidence:g}, but it must be from 0.5 to below 1.")
    if np.isnan(figures).any():
        raise MetricError("A run has no figure (NaN), so the seeds cannot be compared. Leave it out on both sides.")
    valid = samples[:, ~np.isnan(samples).any(axis=0)]  # (R, S)
    if valid.shape[1] < 2:
        raise MetricError("Fewer than two resamplings of the patients are valid. Use more patients.")
    num_seeds = len(figures)
    if num_seeds == 1:
        seed_variance, patient_variance = float("nan"), float(valid[0].var(ddof=1))
    else:
        seed_variance = float(figures.var(ddof=1)) / num_seeds
        covariance = np.cov(valid)  # (R, R)
        common = (covariance.sum() - np.trace(covariance)) / (num_seeds * (num_seeds - 1))
        patient_variance = max(float(common), 0.0)
    if num_seeds == 1 or seed_variance == 0:  # one seed tells nothing about seeds: the patients' interval alone
        total, degrees = patient_variance, float("inf")
    else:
        total = seed_variance + patient_variance
        degrees = total**2 / (seed_variance**2 / (num_seeds - 1))
    level = (1 + confidence) / 2
    quantile = float(norm.ppf(level)) if np.isinf(degrees) else float(t.ppf(level, degrees))
    half, mean = quantile * total**0.5, float(figures.mean())
    return SeedMean(
        mean=mean,
        low=mean - half,
        high=mean + half,
        seed_sd=(seed_variance * num_seeds) ** 0.5,
        patient_sd=patient_variance**0.5,
        degrees=degrees,
    )
