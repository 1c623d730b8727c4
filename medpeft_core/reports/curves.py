"""ROC and precision-recall curves of evaluated runs, from their stored predictions. Light."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from medpeft_core.metrics.classification import compute_confusion
from medpeft_core.metrics.curves import (
    Curve,
    average_precision_recall,
    average_roc,
    compute_precision_recall,
    compute_roc,
    thin_precision_recall,
    thin_roc,
)
from medpeft_core.reports.predictions import Predictions

MAX_MEAN_POINTS, FEW_POINTS = 400_000, 50  # of all curves of a mean, and of each where there are thousands of classes


@dataclass(frozen=True, kw_only=True)
class RateCurves:
    """Both curves of one run for one label, or for the mean over its labels.

    Attributes:
        roc: false-positive rate and sensitivity.
        precision_recall: recall and precision.
        prevalence: share of positives, the precision of guessing; for the mean the mean of the labels' shares.
        point: what the threshold chosen on val gives on test: `threshold, sensitivity, specificity, precision`
            (precision is None when nothing is called positive). None for the mean, or where no threshold was chosen.
        num_labels: over how many labels the mean is; 1 for a label.
    """

    roc: Curve
    precision_recall: Curve
    prevalence: float
    point: dict[str, Any] | None
    num_labels: int

    def thin(self, max_points: int) -> Self:
        """The same with fewer points, for a chart with many runs."""
        return replace(
            self,
            roc=thin_roc(self.roc, max_points),
            precision_recall=thin_precision_recall(self.precision_recall, max_points),
        )


def build_rate_curves(predictions: Predictions, label: str | None) -> RateCurves | None:
    """The curves, thinned for drawing.

    Args:
        predictions: of one split.
        label: one of its labels; None for the mean over those labels that have images of both classes.

    Returns:
        None when the run has no such label, or too few classes of it are there.
    """
    if label is not None and label not in predictions.labels:
        return None
    names = predictions.labels if label is None else (label,)
    pairs = [pair for name in names if (pair := _find_pair(predictions, name)) is not None]
    if not pairs:
        return None
    rocs, steps, prevalences = zip(*(_build_label(*pair) for pair in pairs), strict=True)
    is_mean = label is None
    if sum(len(curve.x) for curve in rocs) > MAX_MEAN_POINTS:  # the mean is taken at every point of every curve
        rocs = tuple(thin_roc(curve, FEW_POINTS) for curve in rocs)
        steps = tuple(thin_precision_recall(curve, FEW_POINTS) for curve in steps)
    return RateCurves(
        roc=thin_roc(average_roc(list(rocs)) if is_mean else rocs[0]),
        precision_recall=thin_precision_recall(average_precision_recall(list(steps)) if is_mean else steps[0]),
        prevalence=float(np.mean(prevalences)),
        point=None if label is None else _find_point(*pairs[0], predictions.thresholds.get(label)),
        num_labels=len(pairs),
    )


def _find_pair(predictions: Predictions, label: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Probabilities and targets of the images whose label is known; None without images of both classes."""
    targets = predictions.table[f"target_{label}"].to_numpy(dtype=np.float64)
    known = ~np.isnan(targets)
    probs, targets = predictions.table[f"prob_{label}"].to_numpy(dtype=np.float64)[known], targets[known]
    return (probs, targets) if 0 < targets.sum() < len(targets) else None


def _build_label(probs: np.ndarray, targets: np.ndarray) -> tuple[Curve, Curve, float]:
    roc, steps = compute_roc(probs, targets), compute_precision_recall(probs, targets)
    assert roc is not None
    assert steps is not None
    return roc, steps, float(targets.mean())


def _find_point(probs: np.ndarray, targets: np.ndarray, threshold: float | None) -> dict[str, Any] | None:
    if threshold is None or np.isnan(threshold):
        return None
    decisions = compute_confusion(probs, targets, threshold)
    num_called = decisions.true_positives + decisions.false_positives
    return {
        "threshold": threshold,
        "sensitivity": decisions.sensitivity,
        "specificity": decisions.specificity,
        "precision": decisions.true_positives / num_called if num_called else None,
    }
