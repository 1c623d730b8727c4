"""Area under the ROC curve: how well a score ranks positive images above negative ones."""

import numpy as np

from medpeft_core.metrics.checks import check_pairs


def compute_auroc(probs: np.ndarray, targets: np.ndarray) -> float:
    """Area under the ROC curve of one class, over a whole split.

    Do not average it over batches: it measures how images rank across the entire split. Tied scores count one half.

    Args:
        probs: (N,) scores of the positive class; only their order matters.
        targets: (N,) 0 or 1.

    Returns:
        A value in [0, 1], or NaN when `targets` holds one class only, where AUROC has no meaning.

    Raises:
        MetricError: lengths differ, `probs` holds a NaN, or `targets` something else than 0 and 1.

    Reference: Hanley & McNeil 1982, Radiology 143(1).
    """
    probs, is_positive = check_pairs(probs, targets)
    num_positive = int(is_positive.sum())
    num_negative = len(probs) - num_positive
    if num_positive == 0 or num_negative == 0:
        return float("nan")
    rank_sum = float(_rank(probs)[is_positive].sum())  # exact: mid-ranks are multiples of one half
    return (rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)


def compute_macro_auroc(probs: np.ndarray, targets: np.ndarray) -> float:
    """Unweighted mean of the classes' AUROCs; classes without a positive or without a negative are left out.

    Args:
        probs: (N, K) scores.
        targets: (N, K) 0, 1 or NaN where the label is unknown.

    Returns:
        A value in [0, 1], or NaN when no class has both.

    Raises:
        MetricError: as for `compute_auroc`.
    """
    known = ~np.isnan(targets)
    aurocs = [compute_auroc(probs[known[:, k], k], targets[known[:, k], k]) for k in range(targets.shape[1])]
    defined = [auroc for auroc in aurocs if not np.isnan(auroc)]
    return float(np.mean(defined)) if defined else float("nan")


def _rank(values: np.ndarray) -> np.ndarray:
    """(N,) ranks from 1, tied values sharing their mean; SciPy's `rankdata` takes a second to import."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]
