"""AUROC and average precision against scikit-learn, on data with ties."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from medpeft_core.errors import MetricError
from medpeft_core.metrics import compute_auroc, compute_average_precision, compute_macro_auroc


def draw(seed, levels):
    """Scores on a few levels, so that many are tied; `levels` None: no ties."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(rng.integers(20, 400)) < rng.uniform(0.05, 0.95)).astype(float)
    targets[:2] = 0, 1
    scores = rng.normal(size=len(targets)) + targets * rng.uniform(-1, 2)
    return (scores if levels is None else np.round(scores * levels) / levels), targets


@pytest.mark.parametrize("levels", [None, 1, 3, 10])
@pytest.mark.parametrize("seed", range(8))
def test_compute_auroc_and_average_precision_equal_scikit_learn(seed, levels):
    probs, targets = draw(seed, levels)
    assert compute_auroc(probs, targets) == pytest.approx(roc_auc_score(targets, probs), abs=1e-12)
    expected = average_precision_score(targets, probs)
    assert compute_average_precision(probs, targets) == pytest.approx(expected, abs=1e-12)


def test_compute_auroc_of_known_rankings():
    targets = np.array([0, 0, 1, 1])
    assert compute_auroc(np.array([0.1, 0.2, 0.3, 0.4]), targets) == 1.0
    assert compute_auroc(np.array([0.4, 0.3, 0.2, 0.1]), targets) == 0.0
    assert compute_auroc(np.zeros(4), targets) == 0.5
    assert compute_auroc(np.array([0.1, 0.3, 0.2, 0.4]), targets) == 0.75


def test_compute_auroc_depends_on_the_order_of_scores_only():
    probs, targets = draw(0, 5)
    assert compute_auroc(np.exp(probs), targets) == compute_auroc(probs, targets)
    assert compute_auroc(-probs, targets) == pytest.approx(1 - compute_auroc(probs, targets), abs=1e-12)


def test_compute_auroc_tells_scores_near_one_apart():
    probs = np.array([1 - 1e-15, 1 - 2e-15, 1 - 3e-15, 1 - 4e-15])
    assert compute_auroc(probs, np.array([1, 1, 0, 0])) == 1.0


@pytest.mark.parametrize("targets", [np.zeros(3), np.ones(3), np.zeros(0)])
def test_compute_auroc_of_one_class_is_nan(targets):
    assert np.isnan(compute_auroc(np.linspace(0, 1, len(targets)), targets))


def test_compute_average_precision_without_a_positive_is_nan():
    assert np.isnan(compute_average_precision(np.array([0.1, 0.2]), np.zeros(2)))
    assert compute_average_precision(np.array([0.1, 0.2]), np.ones(2)) == 1.0


@pytest.mark.parametrize("compute", [compute_auroc, compute_average_precision])
@pytest.mark.parametrize(
    ("probs", "targets", "text"),
    [
        ([0.1, 0.2], [0, 1, 1], "same length"),
        ([[0.1], [0.2]], [[0], [1]], "one class at a time"),
        ([0.1, np.nan], [0, 1], "1 of 2 probs are NaN"),
        ([0.1, 0.2], [0, np.nan], "targets must be 0 or 1"),
        ([0.1, 0.2], [0, 2], "targets must be 0 or 1"),
    ],
)
def test_ranking_metrics_refuse_odd_input(compute, probs, targets, text):
    with pytest.raises(MetricError, match=text):
        compute(np.array(probs), np.array(targets))


def test_compute_macro_auroc_leaves_out_unknown_labels_and_undefined_classes():
    rng = np.random.default_rng(3)
    targets = (rng.random((60, 3)) < 0.4).astype(float)
    probs = rng.random((60, 3))
    targets[:, 2] = 0
    targets[10:20, 0] = np.nan
    known = ~np.isnan(targets[:, 0])
    expected = (roc_auc_score(targets[known, 0], probs[known, 0]) + roc_auc_score(targets[:, 1], probs[:, 1])) / 2
    assert compute_macro_auroc(probs, targets) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(compute_macro_auroc(probs[:, 2:], targets[:, 2:]))
