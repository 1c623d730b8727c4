"""From which score on an image is called positive. Thresholds are chosen on val, never on test."""

import numpy as np

from medpeft_core.metrics.checks import check_pairs


def find_youden_threshold(probs: np.ndarray, targets: np.ndarray) -> float:
    """The threshold with the largest sensitivity + specificity; an image is positive when prob >= threshold.

    It is one of the scores. Where several are equally good, the lowest is taken: it finds the most positives.

    Args:
        probs: (N,) scores of the positive class.
        targets: (N,) 0 or 1.

    Returns:
        The threshold, or NaN when `targets` holds one class only.

    Raises:
        MetricError: lengths differ, `probs` holds a NaN, or `targets` something else than 0 and 1.

    Reference: Youden 1950, Cancer 3(1).
    """
    probs, is_positive = check_pairs(probs, targets)
    num_positive = int(is_positive.sum())
    num_negative = len(probs) - num_positive
    if num_positive == 0 or num_negative == 0:
        return float("nan")
    order = np.argsort(-probs, kind="stable")
    is_last_of_tie = np.append(np.diff(probs[order]) != 0, True)
    true_positives = np.cumsum(is_positive[order])[is_last_of_tie]
    false_positives = np.flatnonzero(is_last_of_tie) + 1 - true_positives
    gain = true_positives * num_negative - false_positives * num_positive  # whole numbers, so that ties are exact
    best = len(gain) - 1 - int(np.argmax(gain[::-1]))
    return float(probs[order][is_last_of_tie][best])


def find_thresholds(probs: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]) -> dict[str, float | None]:
    """The Youden threshold of each label, None where a label has one class only.

    Args:
        probs: (N, K) scores.
        targets: (N, K) 0, 1 or NaN where the label is unknown.
        labels: the K names.

    Raises:
        MetricError: as for `find_youden_threshold`.
    """
    known = ~np.isnan(targets)
    found = (find_youden_threshold(probs[known[:, k], k], targets[known[:, k], k]) for k in range(len(labels)))
    return {label: None if np.isnan(value) else value for label, value in zip(labels, found, strict=True)}
