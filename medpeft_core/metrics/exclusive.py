"""Metrics of exclusive classes, where the likeliest class is the answer, on all images and in resamplings. NumPy only.

All of them follow from a few sums by class, so a thousand resamplings never need a thousand confusion matrices.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from medpeft_core.errors import MetricError
from medpeft_core.metrics.bootstrap import draw_patients, number_patients

DECISION_METRICS = ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy", "quadratic_kappa")
CLASS_MEANS = ("macro_f1", "balanced_accuracy")  # means over the classes, which need each of them in a resampling


def find_top_class(probs: np.ndarray) -> np.ndarray:
    """(N,) number of the likeliest of the K classes of each image, from (N, K); of equal ones the first."""
    return np.argmax(probs, axis=1)


def count_classes(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """The confusion matrix: (K, K) numbers of images, a row for each true and a column for each predicted class.

    Args:
        true: (N,) numbers of classes, from 0.
        predicted: (N,) the same.
        num_classes: K, also where some classes do not occur.

    Raises:
        MetricError: lengths differ, or a number is not that of a class.
    """
    true, predicted = _check_classes(true, predicted, num_classes)
    cells = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


@dataclass(frozen=True, kw_only=True)
class ClassSums:
    """What the metrics of decisions need, for S samples of the same images; a metric without cases is NaN.

    Attributes:
        hits: (S, K) images of each class that are called so.
        true: (S, K) images of each class.
        called: (S, K) images that are called so.
        distance: (S,) squared steps between true and called class, summed over the images.
    """

    hits: np.ndarray
    true: np.ndarray
    called: np.ndarray
    distance: np.ndarray

    @classmethod
    def build(cls, true: np.ndarray, predicted: np.ndarray, num_classes: int, weights: np.ndarray) -> Self:
        """Sum up (S, N) weights: how often each image is in each sample.

        Raises:
            MetricError: lengths differ, or a number is not that of a class.
        """
        true, predicted = _check_classes(true, predicted, num_classes)
        is_hit = true == predicted
        hit_classes, hit_weights = true[is_hit], weights[:, is_hit]

        def sum_up(classes: np.ndarray, rows: np.ndarray) -> np.ndarray:
            sums = np.empty((len(rows), num_classes))
            for at, row in enumerate(rows):
                sums[at] = np.bincount(classes, weights=row, minlength=num_classes)
            return sums

        steps = (true - predicted).astype(np.float64) ** 2
        return cls(
            hits=sum_up(hit_classes, hit_weights),
            true=sum_up(true, weights),
            called=sum_up(predicted, weights),
            distance=weights @ steps,
        )

    def accuracy(self) -> np.ndarray:
        """(S,) share of the images that are called what they are."""
        return _divide(self.hits.sum(axis=1), self.true.sum(axis=1))

    def f1(self) -> np.ndarray:
        """(S, K) harmonic mean of precision and sensitivity of each class, NaN where it neither occurs nor is called.

        Reference: van Rijsbergen 1979, Information Retrieval, ch. 7.
        """
        return _divide(2 * self.hits, self.true + self.called)

    def macro_f1(self) -> np.ndarray:
        """(S,) mean of `f1` over the classes that occur or are called."""
        return _mean(self.f1())

    def weighted_f1(self) -> np.ndarray:
        """(S,) mean of `f1` over the images: each class counts as often as it occurs."""
        return _divide((np.nan_to_num(self.f1()) * self.true).sum(axis=1), self.true.sum(axis=1))

    def sensitivity(self) -> np.ndarray:
        """(S, K) share of each class that is called so, NaN where it does not occur."""
        return _divide(self.hits, self.true)

    def specificity(self) -> np.ndarray:
        """(S, K) share of the images of other classes that are not called so, NaN where there are none."""
        others = self.true.sum(axis=1, keepdims=True) - self.true
        return _divide(others - (self.called - self.hits), others)

    def balanced_accuracy(self) -> np.ndarray:
        """(S,) mean of `sensitivity` over the classes that occur.

        Reference: Brodersen et al. 2010, ICPR.
        """
        return _mean(self.sensitivity())

    def quadratic_kappa(self) -> np.ndarray:
        """(S,) agreement of grades beyond chance: 1 is perfect, 0 chance, and a miss counts by its squared steps.

        Only for classes in an order. NaN where true and called classes are all one and the same.

        Reference: Cohen 1968, Psychological Bulletin 70(4).
        """
        grades = np.arange(self.true.shape[1], dtype=np.float64)
        total = self.true.sum(axis=1)
        squares = (self.true + self.called) @ grades**2
        expected = squares - _divide(2 * (self.true @ grades) * (self.called @ grades), total)
        is_usable = expected > 1e-9 * np.maximum(squares, 1)  # else a rounding error of nothing
        return 1 - _divide(self.distance, np.where(is_usable, expected, 0.0))


def compute_decisions(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> ClassSums:
    """The sums over all images once, S = 1; input and errors as `count_classes`."""
    return ClassSums.build(true, predicted, num_classes, np.ones((1, len(true))))


def bootstrap_decisions(
    true: np.ndarray, predicted: np.ndarray, num_classes: int, patients: np.ndarray, *, num_samples: int, seed: int
) -> dict[str, np.ndarray]:
    """Each of `DECISION_METRICS` in each resampling of the patients: name to (num_samples,), NaN where undefined.

    `CLASS_MEANS` are NaN in a resampling that lacks a class which occurs among the images: the mean of the classes
    that are left is another quantity, and 1 where only a frequent class is left. In all others the macro F1 is over the
    same classes as on all images; one that never occurs, but is called, counts as 0 also where it is not called.

    Args:
        true: (N,) numbers of classes, from 0.
        predicted: (N,) the same.
        num_classes: K.
        patients: (N,) ids; the id of the image where patients are not known.
        num_samples: resamplings.
        seed: the same seed and patients give the same resamplings as in `bootstrap_intervals`.

    Raises:
        MetricError: lengths differ, a patient is missing, or a number is not that of a class.
    """
    owners, num_patients = number_patients(patients, len(true))
    whole = compute_decisions(true, predicted, num_classes)
    occurs, counts_in_f1 = whole.true[0] > 0, (whole.true + whole.called)[0] > 0
    parts: dict[str, list[np.ndarray]] = {name: [] for name in DECISION_METRICS}
    for _, counts in draw_patients(num_patients, num_samples, max(len(true), num_classes), seed):
        sums = ClassSums.build(true, predicted, num_classes, np.take(counts, owners, axis=1).astype(np.float64))
        found = {name: getattr(sums, name)() for name in DECISION_METRICS}
        found["macro_f1"] = np.nan_to_num(sums.f1()[:, counts_in_f1]).mean(axis=1)
        for name in CLASS_MEANS:
            found[name][~(sums.true[:, occurs] > 0).all(axis=1)] = np.nan
        for name, values in parts.items():
            values.append(found[name])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _check_classes(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise MetricError(
            f"true classes have shape {true.shape} and predicted ones {predicted.shape}, but both must be (N,) of the "
            "same length."
        )
    for classes in (true, predicted):
        if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
            raise MetricError(f"There are {num_classes} classes, numbered from 0, but another number was found.")
    return true.astype(np.int64), predicted.astype(np.int64)


def _divide(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    parts, wholes = np.broadcast_arrays(parts, wholes)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """(S,) mean over the columns of (S, K) that are not NaN."""
    return _divide(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1))
