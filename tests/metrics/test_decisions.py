"""Thresholds and the metrics that need one, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_curve

from medpeft_core.errors import MetricError
from medpeft_core.metrics import find_thresholds, find_youden_threshold
from medpeft_core.metrics.classification import (
    compute_accuracy,
    compute_confusion,
    compute_f1,
    compute_sensitivity,
    compute_specificity,
)


def draw(seed):
    rng = np.random.default_rng(seed)
    targets = (rng.random(200) < 0.3).astype(int)
    return np.round(rng.normal(size=200) + targets, 1), targets


@pytest.mark.parametrize("seed", range(10))
def test_find_youden_threshold_reaches_the_best_index_of_the_curve(seed):
    probs, targets = draw(seed)
    threshold = find_youden_threshold(probs, targets)
    false_positive_rate, true_positive_rate, _ = roc_curve(targets, probs, drop_intermediate=False)
    reached = compute_sensitivity(probs, targets, threshold) + compute_specificity(probs, targets, threshold) - 1
    assert reached == pytest.approx(np.max(true_positive_rate - false_positive_rate), abs=1e-12)
    assert threshold in probs


def test_find_youden_threshold_takes_the_lowest_of_equally_good_ones():
    probs, targets = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1])  # 0.2 and 0.4 both reach 0.5
    assert find_youden_threshold(probs, targets) == 0.2
    assert find_youden_threshold(probs[[3, 1, 0, 2]], targets[[3, 1, 0, 2]]) == 0.2


def test_find_youden_threshold_counts_the_threshold_itself_as_positive():
    assert find_youden_threshold(np.array([0.2, 0.8]), np.array([0, 1])) == 0.8
    assert compute_sensitivity(np.array([0.2, 0.8]), np.array([0, 1]), 0.8) == 1.0


def test_find_youden_threshold_is_finite_for_a_useless_model():
    assert find_youden_threshold(np.array([0.9, 0.1]), np.array([0, 1])) == 0.1
    assert find_youden_threshold(np.full(4, 0.5), np.array([0, 1, 0, 1])) == 0.5


def test_find_thresholds_is_none_where_a_class_is_missing():
    probs = np.array([[0.2, 0.1, 0.3], [0.8, 0.2, 0.4], [0.1, 0.3, 0.5]])
    targets = np.array([[0, 0, np.nan], [1, 0, np.nan], [np.nan, 0, 1]])
    assert find_thresholds(probs, targets, ("a", "b", "c")) == {"a": 0.8, "b": None, "c": None}
    assert np.isnan(find_youden_threshold(probs[:, 1], targets[:, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_decision_metrics_equal_scikit_learn(seed):
    probs, targets = draw(seed)
    called = (probs >= 0.5).astype(int)
    assert compute_sensitivity(probs, targets, 0.5) == pytest.approx(recall_score(targets, called))
    assert compute_specificity(probs, targets, 0.5) == pytest.approx(recall_score(1 - targets, 1 - called))
    assert compute_f1(probs, targets, 0.5) == pytest.approx(f1_score(targets, called))
    assert compute_accuracy(probs, targets, 0.5) == pytest.approx(accuracy_score(targets, called))


def test_decision_metrics_without_cases_are_nan():
    probs = np.array([0.1, 0.2])
    assert np.isnan(compute_sensitivity(probs, np.zeros(2), 0.5))
    assert np.isnan(compute_specificity(probs, np.ones(2), 0.5))
    assert np.isnan(compute_f1(probs, np.zeros(2), 0.5))
    assert compute_f1(probs, np.ones(2), 0.5) == 0.0
    assert np.isnan(compute_accuracy(np.zeros(0), np.zeros(0), 0.5))


def test_compute_confusion_refuses_a_threshold_that_is_none():
    with pytest.raises(MetricError, match="threshold is NaN"):
        compute_confusion(np.array([0.1, 0.2]), np.array([0, 1]), float("nan"))
