"""What every metric asks of its input."""

import numpy as np

from medpeft_core.errors import MetricError


def check_pairs(probs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 (N,) and targets as bool (N,).

    Raises:
        MetricError: the lengths differ, a score is NaN, or a target is neither 0 nor 1.
    """
    probs, targets = np.asarray(probs, dtype=np.float64), np.asarray(targets)
    if probs.ndim != 1 or probs.shape != targets.shape:
        raise MetricError(
            f"probs have shape {probs.shape} and targets {targets.shape}, but both must be (N,) of the same length. "
            "Pass one class at a time."
        )
    num_nan = int(np.isnan(probs).sum())
    if num_nan:
        raise MetricError(
            f"{num_nan} of {len(probs)} probs are NaN, which cannot be ranked. Find out why the model gave them."
        )
    is_positive = targets == 1
    if not np.all(is_positive | (targets == 0)):
        raise MetricError("targets must be 0 or 1. Leave out the images whose label is unknown.")
    return probs, is_positive
