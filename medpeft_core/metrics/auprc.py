"""Average precision: the area under the precision-recall curve, drawn as steps."""

import numpy as np

from medpeft_core.metrics.checks import check_pairs


def compute_average_precision(probs: np.ndarray, targets: np.ndarray) -> float:
    """Mean of the precision at each threshold, weighted by the recall that it adds; tied scores share a threshold.

    A model that knows nothing scores the share of positives, so compare it between data with the same share only.

    Args:
        probs: (N,) scores of the positive class; only their order matters.
        targets: (N,) 0 or 1.

    Returns:
        A value in (0, 1], or NaN when there is no positive.

    Raises:
        MetricError: lengths differ, `probs` holds a NaN, or `targets` something else than 0 and 1.

    Reference: Davis & Goadrich 2006, ICML; the same number as scikit-learn's `average_precision_score`.
    """
    probs, is_positive = check_pairs(probs, targets)
    if not is_positive.any():
        return float("nan")
    order = np.argsort(-probs, kind="stable")
    is_last_of_tie = np.append(np.diff(probs[order]) != 0, True)
    num_found = np.cumsum(is_positive[order])[is_last_of_tie]
    precision = num_found / (np.flatnonzero(is_last_of_tie) + 1)
    return float(np.sum(np.diff(num_found, prepend=0) * precision) / num_found[-1])
