"""ROC and precision-recall curves: scikit-learn's points and areas, means over labels, and thinning for drawing."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from medpeft_core.errors import MetricError
from medpeft_core.metrics import compute_auroc, compute_average_precision
from medpeft_core.metrics.curves import (
    MAX_POINTS,
    Curve,
    average_precision_recall,
    average_roc,
    compute_precision_recall,
    compute_roc,
    thin_precision_recall,
    thin_roc,
)


def make_scores(seed, *, size=300, share=0.3, quality=1.0, decimals=None):
    rng = np.random.default_rng(seed)
    targets = (rng.random(size) < share).astype(float)
    targets[:2] = [1, 0]
    scores = rng.standard_normal(size) + quality * targets
    return (scores if decimals is None else scores.round(decimals)), targets


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_roc_has_the_points_and_the_area_of_scikit_learn(decimals, share):
    scores, targets = make_scores(1, share=share, decimals=decimals)
    curve = compute_roc(scores, targets)
    x, y, _ = roc_curve(targets, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, x, atol=1e-12)
    np.testing.assert_allclose(curve.y, y, atol=1e-12)
    assert curve.roc_area() == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    assert curve.roc_area() == pytest.approx(compute_auroc(scores, targets), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_precision_recall_has_the_points_and_the_area_of_scikit_learn(decimals, share):
    scores, targets = make_scores(2, share=share, decimals=decimals)
    curve = compute_precision_recall(scores, targets)
    precision, recall, _ = precision_recall_curve(targets, scores)
    theirs = {round(r, 12): p for r, p in zip(recall[:-1], precision[:-1], strict=True)}  # the last is the highest
    for r, p in zip(curve.x[1:], curve.y[1:], strict=True):
        assert theirs[round(r, 12)] == pytest.approx(p, abs=1e-12)
    assert curve.step_area() == pytest.approx(average_precision_score(targets, scores), abs=1e-12)
    assert curve.step_area() == pytest.approx(compute_average_precision(scores, targets), abs=1e-12)


def test_curves_of_one_class_do_not_exist():
    assert compute_roc(np.array([0.1, 0.2]), np.array([1.0, 1.0])) is None
    assert compute_roc(np.array([0.1, 0.2]), np.array([0.0, 0.0])) is None
    assert compute_roc(np.array([]), np.array([])) is None
    assert compute_precision_recall(np.array([0.1, 0.2]), np.array([0.0, 0.0])) is None
    assert compute_precision_recall(np.array([]), np.array([])) is None
    with pytest.raises(MetricError, match="NaN"):
        compute_roc(np.array([0.1, np.nan]), np.array([1.0, 0.0]))


def test_curve_of_a_perfect_and_of_a_reversed_ranking():
    targets = np.array([0.0, 0.0, 1.0, 1.0])
    assert compute_roc(np.arange(4.0), targets).roc_area() == 1
    assert compute_roc(-np.arange(4.0), targets).roc_area() == 0
    assert compute_roc(np.zeros(4), targets).roc_area() == 0.5
    assert compute_precision_recall(np.arange(4.0), targets).step_area() == 1


@pytest.mark.parametrize("decimals", [None, 1])
def test_mean_curves_have_the_mean_of_the_areas(decimals):
    data = [make_scores(seed, size=80 + 40 * seed, decimals=decimals) for seed in range(5)]
    rocs = [compute_roc(*pair) for pair in data]
    mean = average_roc(rocs)
    assert mean.roc_area() == pytest.approx(np.mean([curve.roc_area() for curve in rocs]), abs=1e-12)
    assert np.all(np.diff(mean.x) >= 0)
    assert np.all(np.diff(mean.y) >= -1e-12)
    steps = [compute_precision_recall(*pair) for pair in data]
    mean = average_precision_recall(steps)
    assert mean.step_area() == pytest.approx(np.mean([curve.step_area() for curve in steps]), abs=1e-12)


def test_mean_of_one_curve_is_that_curve():
    curve = compute_roc(*make_scores(4))
    grid = np.linspace(0, 1, 57)
    mean = average_roc([curve])
    assert mean.roc_area() == pytest.approx(curve.roc_area(), abs=1e-12)
    assert set(zip(mean.x.round(9), mean.y.round(9), strict=True)) <= set(
        zip(curve.x.round(9), curve.y.round(9), strict=True)
    )
    steps = compute_precision_recall(*make_scores(4))
    np.testing.assert_allclose(average_precision_recall([steps]).x, np.unique(steps.x))
    assert grid[0] == 0


@pytest.mark.parametrize("size", [50, 3000, 60_000])
@pytest.mark.parametrize("quality", [0.0, 1.0, 3.0])
def test_thinned_curves_have_few_points_and_the_same_area(size, quality):
    scores, targets = make_scores(5, size=size, share=0.2, quality=quality)
    roc, steps = compute_roc(scores, targets), compute_precision_recall(scores, targets)
    thin = thin_roc(roc)
    assert len(thin.x) <= MAX_POINTS
    assert thin.roc_area() == pytest.approx(roc.roc_area(), abs=1e-3)
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(thin.x) >= 0)
    thin = thin_precision_recall(steps)
    assert len(thin.x) <= MAX_POINTS
    assert thin.step_area() == pytest.approx(steps.step_area(), abs=1e-9)
    assert (thin.x[0], thin.x[-1]) == (0, 1)


def test_thin_roc_follows_a_curve_with_one_far_corner():
    """Evenly spread points cut the corner of a curve that first climbs and then runs level."""
    x = np.concatenate([np.zeros(3), np.linspace(0, 1, 5000)])
    y = np.concatenate([[0, 0.3, 0.9], 0.9 + 0.1 * np.linspace(0, 1, 5000) ** 3])
    thin = thin_roc(Curve(x, y))
    assert np.hypot(thin.x, thin.y - 0.9).min() < 1e-3
    assert thin.roc_area() == pytest.approx(Curve(x, y).roc_area(), abs=1e-3)


def test_thin_roc_keeps_corners_only_of_a_small_curve():
    thin = thin_roc(Curve(np.array([0, 0, 0, 0.5, 1]), np.array([0, 0.2, 1, 1, 1])))
    assert thin.x.tolist() == [0, 0, 1]
    assert thin.y.tolist() == [0, 1, 1]
