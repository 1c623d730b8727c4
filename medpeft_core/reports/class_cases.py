"""Images sorted by whether the likeliest of exclusive classes is the true one, and what was taken for what. Light."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from medpeft_core.metrics.exclusive import count_classes
from medpeft_core.reports.predictions import CaseList, Predictions, sort_cases

CLASS_CASES = {
    "all": "All test images",
    "right": "Right class",
    "wrong": "Wrong class",
    "present": "Of this class",
    "missed": "Taken for another class",
    "alarm": "Others taken for this class",
}


def sort_images(predictions: Predictions, label: str | None = None) -> dict[str, CaseList]:
    """`sort_class_cases` for exclusive classes, `sort_cases` for labels of which an image may have several."""
    return (sort_class_cases if predictions.is_exclusive else sort_cases)(predictions, label)


def sort_class_cases(predictions: Predictions, label: str | None = None) -> dict[str, CaseList]:
    """For each of `CLASS_CASES` its images, those worth a look first; for those of one class only with a label.

    Args:
        predictions: of one split, of exclusive classes.
        label: the class that is looked at; None: any.

    Returns:
        "all": in the order of the file. "right" and "wrong": the likeliest class is the true one or not, most probable
        first; with a label, of the images that are of this class or called so. "present": of the class, most probable
        first. "missed": of the class and called another, those with the largest lead of the other first. "alarm": of
        another class and called this one, most probable first. An image is looked at for the label, or without one
        for the class that it was called. Images whose class is unknown are in "all" only.

    Raises:
        ValueError: a label that does not exist; a bug.
    """
    probs, called, true = predictions.probs(), predictions.called_classes(), predictions.true_classes()
    rows = np.arange(len(probs))
    top = probs[rows, called]
    is_known, is_right = true >= 0, true == called
    if label is None:
        kept = {"right": (is_right, top), "wrong": (is_known & ~is_right, top)}
        return {
            "all": CaseList(rows=rows, labels=called),
            **{name: _sort(*item, called) for name, item in kept.items()},
        }
    number = predictions.labels.index(label)
    is_it, is_called, own = true == number, called == number, probs[:, number]
    kept = {
        "right": (is_right & is_it, own),
        "wrong": (is_known & ~is_right & (is_it | is_called), top),
        "present": (is_it, own),
        "missed": (is_it & ~is_called, top - own),
        "alarm": (is_known & ~is_it & is_called, own),
    }
    looked_at = np.full(len(probs), number)
    return {
        "all": CaseList(rows=rows, labels=looked_at),
        **{name: _sort(*item, looked_at) for name, item in kept.items()},
    }


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """What was taken for what on one split.

    Attributes:
        labels: of the rows (true) and columns (called), in the order of the run's labels.
        counts: (K, K) numbers of images.
        num_classes: of the run; more than there are labels where only the largest classes are shown.
        num_elsewhere: images that are of a class that is not shown, or were called one.
    """

    labels: tuple[str, ...]
    counts: np.ndarray
    num_classes: int
    num_elsewhere: int

    def shares(self) -> np.ndarray:
        """(K, K) share of the images of each row, 0 to 1; NaN for a class without images."""
        sums = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, sums, out=np.full(self.counts.shape, np.nan), where=sums > 0)

    def rows(self, *, with_empty: bool = True) -> list[dict[str, Any]]:
        """A dict for each cell of each class that has images: `true, called, num_images, share`.

        Args:
            with_empty: cells without images too.
        """
        shares = self.shares()
        cells = np.argwhere((self.counts.sum(axis=1, keepdims=True) > 0) & ((self.counts > 0) | with_empty))
        return [
            {
                "true": self.labels[row],
                "called": self.labels[column],
                "num_images": int(self.counts[row, column]),
                "share": float(shares[row, column]),
            }
            for row, column in cells
        ]


def build_confusion(predictions: Predictions, *, max_classes: int) -> ConfusionMatrix:
    """The confusion matrix; of more classes than fit, those with the most images that are of them or called so.

    Args:
        predictions: of one split, of exclusive classes.
        max_classes: that are shown.
    """
    called, true = predictions.called_classes(), predictions.true_classes()
    is_known = true >= 0
    counts = count_classes(true[is_known], called[is_known], len(predictions.labels))
    num_classes = len(predictions.labels)
    kept = np.arange(num_classes)
    if num_classes > max_classes:
        size = counts.sum(axis=0) + counts.sum(axis=1)
        kept = np.sort(np.argsort(-size, kind="stable")[:max_classes])
    shown = counts[np.ix_(kept, kept)]
    return ConfusionMatrix(
        labels=tuple(predictions.labels[number] for number in kept),
        counts=shown,
        num_classes=num_classes,
        num_elsewhere=int(counts.sum() - shown.sum()),
    )


def find_confused(matrix: ConfusionMatrix, limit: int) -> list[tuple[str, str, int]]:
    """The commonest mistakes: true class, called class, number of images; most frequent first."""
    counts = matrix.counts * ~np.eye(len(matrix.labels), dtype=bool)
    order = np.argsort(-counts, axis=None, kind="stable")[:limit]
    cells = zip(*np.unravel_index(order, counts.shape), strict=True)
    return [
        (matrix.labels[row], matrix.labels[column], int(counts[row, column]))
        for row, column in cells
        if counts[row, column] > 0
    ]


def _sort(is_kept: np.ndarray, worth: np.ndarray, labels: np.ndarray) -> CaseList:
    rows = np.flatnonzero(is_kept)
    rows = rows[np.argsort(-worth[rows], kind="stable")]
    return CaseList(rows=rows, labels=labels[rows])
