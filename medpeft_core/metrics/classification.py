"""Metrics of the decisions about one label: what is right and wrong once a threshold is chosen.

Where classes exclude each other the likeliest is taken instead: `exclusive.py`.
"""

from dataclasses import dataclass

import numpy as np

from medpeft_core.errors import MetricError
from medpeft_core.metrics.checks import check_pairs


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often a decision about one class was right or wrong. A ratio without cases below the line is NaN."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """Share of the positive images that are called positive; also called recall."""
        return _divide(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Share of the negative images that are called negative."""
        return _divide(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and sensitivity."""
        return _divide(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        num_right = self.true_positives + self.true_negatives
        return _divide(num_right, num_right + self.false_positives + self.false_negatives)


def compute_confusion(probs: np.ndarray, targets: np.ndarray, threshold: float) -> Confusion:
    """Decisions of one class at a threshold; an image is positive when prob >= threshold.

    Args:
        probs: (N,) scores of the positive class.
        targets: (N,) 0 or 1.
        threshold: in the unit of `probs`.

    Raises:
        MetricError: lengths differ, something is NaN, or `targets` holds something else than 0 and 1.
    """
    if np.isnan(threshold):
        raise MetricError("The threshold is NaN. Leave out labels for which none could be chosen on val.")
    probs, is_positive = check_pairs(probs, targets)
    is_called = probs >= threshold
    return Confusion(
        true_positives=int(np.sum(is_called & is_positive)),
        false_positives=int(np.sum(is_called & ~is_positive)),
        true_negatives=int(np.sum(~is_called & ~is_positive)),
        false_negatives=int(np.sum(~is_called & is_positive)),
    )


def compute_sensitivity(probs: np.ndarray, targets: np.ndarray, threshold: float) -> float:
    """Share of the positive images with prob >= threshold; NaN without positives. Input: `compute_confusion`."""
    return compute_confusion(probs, targets, threshold).sensitivity


def compute_specificity(probs: np.ndarray, targets: np.ndarray, threshold: float) -> float:
    """Share of the negative images with prob < threshold; NaN without negatives. Input: `compute_confusion`."""
    return compute_confusion(probs, targets, threshold).specificity


def compute_f1(probs: np.ndarray, targets: np.ndarray, threshold: float) -> float:
    """F1 at a threshold; NaN when no image is positive or called so. Input: `compute_confusion`."""
    return compute_confusion(probs, targets, threshold).f1


def compute_accuracy(probs: np.ndarray, targets: np.ndarray, threshold: float) -> float:
    """Share of right decisions at a threshold; NaN without images. Input: `compute_confusion`."""
    return compute_confusion(probs, targets, threshold).accuracy


def _divide(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
