"""ROC and precision-recall curves: every threshold, means over labels, and fewer points for drawing. NumPy only."""

from typing import NamedTuple

import numpy as np

from medpeft_core.metrics.checks import check_pairs

MAX_POINTS = 400


class Curve(NamedTuple):
    """A curve by its points, from the left to the right.

    `x` and `y` are (M,): false-positive rate and sensitivity of a ROC curve, recall and precision of the other. Between
    two points a ROC curve is a straight line. A precision-recall curve is a step: its `y` holds from the point before.
    """

    x: np.ndarray
    y: np.ndarray

    def roc_area(self) -> float:
        """Area under straight lines between the points."""
        return float(np.sum(np.diff(self.x) * (self.y[1:] + self.y[:-1]) / 2))

    def step_area(self) -> float:
        """Area under steps: the average precision of a precision-recall curve."""
        return float(np.sum(np.diff(self.x) * self.y[1:]))


def compute_roc(probs: np.ndarray, targets: np.ndarray) -> Curve | None:
    """Sensitivity against the false-positive rate at every threshold, tied scores sharing one.

    Args:
        probs: (N,) scores; only their order matters.
        targets: (N,) 0 or 1.

    Returns:
        From (0, 0) to (1, 1); None when only one class is there.

    Raises:
        MetricError: as for `compute_auroc`.

    Reference: Fawcett 2006, Pattern Recognition Letters 27(8).
    """
    num_found, num_called = _count_called(*check_pairs(probs, targets))
    num_positive = num_found[-1] if len(num_found) else 0
    num_negative = (num_called[-1] if len(num_called) else 0) - num_positive
    if num_positive == 0 or num_negative == 0:
        return None
    false_alarms = num_called - num_found
    return Curve(np.append(0, false_alarms) / num_negative, np.append(0, num_found) / num_positive)


def compute_precision_recall(probs: np.ndarray, targets: np.ndarray) -> Curve | None:
    """Precision against recall at every threshold that finds further positives.

    Thresholds that only add false alarms lie on the vertical parts of the steps and are left out.

    Args:
        probs, targets: as for `compute_roc`.

    Returns:
        From recall 0, with the precision of the first point, to recall 1; None when there is no positive.

    Raises:
        MetricError: as for `compute_auroc`.
    """
    num_found, num_called = _count_called(*check_pairs(probs, targets))
    if len(num_found) == 0 or num_found[-1] == 0:
        return None
    adds = np.diff(num_found, prepend=0) > 0
    recall, precision = num_found[adds] / num_found[-1], num_found[adds] / num_called[adds]
    return Curve(np.append(0, recall), np.append(precision[0], precision))


def average_roc(curves: list[Curve]) -> Curve:
    """The mean sensitivity at each false-positive rate; its area is the mean of the areas."""
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    # where a curve climbs straight up, its lowest and its highest sensitivity are averaged apart
    ends = np.mean([_follow_line(curve, x) for curve in curves], axis=0)  # (M, 2)
    return Curve(np.repeat(x, 2), ends.ravel())


def average_precision_recall(curves: list[Curve]) -> Curve:
    """The mean precision at each recall; its area is the mean of the average precisions."""
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    y = np.mean([curve.y[np.searchsorted(curve.x, x, side="left")] for curve in curves], axis=0)
    return Curve(x, y)


def thin_roc(curve: Curve, max_points: int = MAX_POINTS) -> Curve:
    """Fewer points for drawing: its corners, and of these the ones that shape it most.

    The corners that enclose the smallest triangle with their neighbours go first (Visvalingam & Whyatt 1993). With 400
    points the area under the curve of a model moves by less than 1e-3, by far in most cases.
    """
    points = np.column_stack(curve)  # (M, 2)
    points = points[np.concatenate([[True], _measure_triangles(points) > 1e-15, [True]])]
    while len(points) > max_points:
        sizes = np.concatenate([[np.inf], _measure_triangles(points), [np.inf]])
        is_least = np.zeros(len(points), dtype=bool)
        is_least[1:-1] = (sizes[1:-1] <= sizes[:-2]) & (sizes[1:-1] < sizes[2:])  # never two neighbours at once
        least = np.flatnonzero(is_least)
        least = least[np.argsort(sizes[least], kind="stable")][: len(points) - max_points]
        points = np.delete(points, least, axis=0)
    return Curve(points[:, 0], points[:, 1])


def thin_precision_recall(curve: Curve, max_points: int = MAX_POINTS) -> Curve:
    """Fewer steps for drawing, each with the mean precision of those that it stands for: the area stays the same."""
    x, y = curve
    if len(x) <= max_points:
        return curve
    ends = np.unique(np.linspace(1, len(x) - 1, max_points - 1).round().astype(int))
    starts = np.append(0, ends[:-1])
    areas = np.append(0, np.cumsum(np.diff(x) * y[1:]))
    means = (areas[ends] - areas[starts]) / (x[ends] - x[starts])
    return Curve(np.append(x[0], x[ends]), np.append(means[0], means))


def _count_called(probs: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each threshold, from the highest: how many positives are found, and how many images are called."""
    order = np.argsort(-probs, kind="stable")
    is_last_of_tie = np.append(np.diff(probs[order]) != 0, True)[: len(probs)]
    return np.cumsum(is_positive[order])[is_last_of_tie], np.flatnonzero(is_last_of_tie) + 1


def _measure_triangles(points: np.ndarray) -> np.ndarray:
    """(M - 2,) twice the area that each inner point encloses with its neighbours."""
    (dx, dy) = np.diff(points, axis=0).T
    return np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1])


def _follow_line(curve: Curve, x: np.ndarray) -> np.ndarray:
    """(M, 2) lowest and highest sensitivity of one curve at the rates `x`; they differ where it climbs straight up."""
    right = np.searchsorted(curve.x, x, side="left")  # the first point that is not left of x
    left = np.searchsorted(curve.x, x, side="right") - 1  # the last one that is not right of it
    is_point = curve.x[right] == x
    span = np.where(is_point, 1.0, curve.x[right] - curve.x[left])
    between = curve.y[left] + (curve.y[right] - curve.y[left]) * (x - curve.x[left]) / span
    return np.column_stack([np.where(is_point, curve.y[right], between), np.where(is_point, curve.y[left], between)])
