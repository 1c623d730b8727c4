"""Metrics of predictions, with intervals. Light: NumPy only."""

from medpeft_core.metrics.auprc import compute_average_precision
from medpeft_core.metrics.auroc import compute_auroc, compute_macro_auroc
from medpeft_core.metrics.evaluate import evaluate_predictions, probs_from_logits
from medpeft_core.metrics.spec import METRICS, MetricSpec
from medpeft_core.metrics.thresholds import find_thresholds, find_youden_threshold

__all__ = [
    "METRICS",
    "MetricSpec",
    "compute_auroc",
    "compute_average_precision",
    "compute_macro_auroc",
    "evaluate_predictions",
    "find_thresholds",
    "find_youden_threshold",
    "probs_from_logits",
]
