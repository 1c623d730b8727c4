"""AUROC and average precision of many resamplings at once: images are sorted once and then weighted.

A weight says how often an image was drawn; the results are those of really repeating the images.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from medpeft_core.metrics.checks import check_pairs


@dataclass(frozen=True, eq=False)
class Ranking:
    """One class of one split, sorted by falling score.

    Attributes:
        order: (N,) image indices by falling score.
        positives: (P,) places of the positive images in that order, rising.
        tie_starts: (P,) for each positive the first place with its score.
        tie_ends: (P,) one past the last place with its score.
        positive_tie_ends: (P,) one past the last positive with its score, counted among the positives.
    """

    order: np.ndarray
    positives: np.ndarray
    tie_starts: np.ndarray
    tie_ends: np.ndarray
    positive_tie_ends: np.ndarray

    @classmethod
    def build(cls, probs: np.ndarray, targets: np.ndarray) -> Self:
        """Sort the images of one class.

        Args:
            probs: (N,) scores.
            targets: (N,) 0 or 1.

        Raises:
            MetricError: as for `compute_auroc`.
        """
        probs, is_positive = check_pairs(probs, targets)
        order = np.argsort(-probs, kind="stable")
        falling = -probs[order]
        positives = np.flatnonzero(is_positive[order])
        scores = falling[positives]
        return cls(
            order=order,
            positives=positives,
            tie_starts=np.searchsorted(falling, scores, side="left"),
            tie_ends=np.searchsorted(falling, scores, side="right"),
            positive_tie_ends=np.searchsorted(scores, scores, side="right"),
        )


@dataclass(frozen=True, eq=False)
class WeightedRanking:
    """A ranking with the weights of S resamplings; cumulative sums are shared by the metrics.

    Attributes:
        ranking: the sorted images.
        weights: (S, P) how often each positive was drawn.
        found: (S, P+1) drawn positives before each positive; the last column is all of them.
        called: (S, N+1) drawn images before each place; the last column is all of them.
    """

    ranking: Ranking
    weights: np.ndarray
    found: np.ndarray
    called: np.ndarray

    @classmethod
    def build(cls, ranking: Ranking, weights: np.ndarray) -> Self:
        """Sum up once what the metrics need.

        Args:
            ranking: of one class.
            weights: (S, N) whole numbers, in the ranking's order.
        """
        of_positives = weights[:, ranking.positives]
        return cls(ranking, of_positives, _cumulate(of_positives), _cumulate(weights))

    def compute_auroc(self) -> np.ndarray:
        """(S,) AUROC of each resampling, NaN where only one class was drawn."""
        ranking = self.ranking
        above = self.called[:, ranking.tie_starts] - self.found[:, _starts_among_positives(ranking)]
        up_to = self.called[:, ranking.tie_ends] - self.found[:, ranking.positive_tie_ends]
        num_positive = self.found[:, -1].astype(np.float64)
        num_negative = self.called[:, -1] - num_positive
        lost_pairs = np.einsum("sp,sp->s", self.weights, above + up_to, dtype=np.int64) / 2
        return 1 - _divide(lost_pairs, num_positive * num_negative)

    def compute_average_precision(self) -> np.ndarray:
        """(S,) average precision of each resampling, NaN where no positive was drawn."""
        found = self.found[:, self.ranking.positive_tie_ends]
        called = self.called[:, self.ranking.tie_ends]
        precision = found / np.maximum(called, 1)  # nothing called means that the positive was not drawn: weight 0
        return _divide(np.einsum("sp,sp->s", self.weights, precision), self.found[:, -1])


def _starts_among_positives(ranking: Ranking) -> np.ndarray:
    """(P,) for each positive the number of positives with a higher score."""
    return np.searchsorted(ranking.positives, ranking.tie_starts, side="left")


def _cumulate(weights: np.ndarray) -> np.ndarray:
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), dtype=np.int32)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _divide(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
