"""Metrics of exclusive classes and their intervals, against scikit-learn on really repeated images."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from medpeft_core.errors import MetricError
from medpeft_core.metrics import METRICS
from medpeft_core.metrics.bootstrap import draw_patients
from medpeft_core.metrics.evaluate import MAX_CONFUSION_CLASSES, evaluate_predictions, probs_from_logits
from medpeft_core.metrics.exclusive import (
    DECISION_METRICS,
    ClassSums,
    bootstrap_decisions,
    compute_decisions,
    count_classes,
)

NUM_CLASSES = 6  # class 4 is never true, class 5 neither true nor called


def draw(seed, num_images=120):
    rng = np.random.default_rng(seed)
    true = rng.choice(4, num_images, p=[0.6, 0.25, 0.1, 0.05])
    true[:4] = range(4)
    predicted = np.where(rng.random(num_images) < 0.6, true, rng.integers(0, 5, num_images))
    return true, predicted


def reckon(true, predicted):
    """The same figures by scikit-learn."""
    seen = np.unique(true)
    return {
        "accuracy": accuracy_score(true, predicted),
        "macro_f1": f1_score(true, predicted, average="macro"),
        "weighted_f1": f1_score(true, predicted, average="weighted"),
        "balanced_accuracy": recall_score(true, predicted, average="macro", labels=seen),
        "quadratic_kappa": cohen_kappa_score(true, predicted, weights="quadratic", labels=range(NUM_CLASSES)),
    }


@pytest.mark.parametrize("seed", range(4))
def test_decisions_equal_scikit_learn(seed):
    true, predicted = draw(seed)
    sums = compute_decisions(true, predicted, NUM_CLASSES)
    for name, value in reckon(true, predicted).items():
        assert getattr(sums, name)()[0] == pytest.approx(value, abs=1e-12), name
    np.testing.assert_array_equal(
        count_classes(true, predicted, NUM_CLASSES), confusion_matrix(true, predicted, labels=range(NUM_CLASSES))
    )
    for k in range(4):
        is_it, is_called = true == k, predicted == k
        assert sums.sensitivity()[0, k] == pytest.approx(recall_score(is_it, is_called))
        assert sums.specificity()[0, k] == pytest.approx(recall_score(~is_it, ~is_called))
        assert sums.f1()[0, k] == pytest.approx(f1_score(is_it, is_called))
    assert precision_score(true, predicted, average=None, labels=[4])[0] == sums.f1()[0, 4] == 0
    assert np.isnan(sums.f1()[0, 5])


def test_resampled_decisions_equal_those_of_repeated_images():
    true, predicted = draw(9)
    weights = np.random.default_rng(9).poisson(1.0, (15, len(true))).astype(float)
    sums = ClassSums.build(true, predicted, NUM_CLASSES, weights)
    for at, row in enumerate(weights.astype(int)):
        repeated = np.repeat(np.arange(len(true)), row)
        for name, value in reckon(true[repeated], predicted[repeated]).items():
            assert getattr(sums, name)()[at] == pytest.approx(value, abs=1e-12), name


def test_decisions_without_cases_are_nan():
    nothing = compute_decisions(np.zeros(0, dtype=int), np.zeros(0, dtype=int), 3)
    assert all(np.isnan(getattr(nothing, name)()[0]) for name in DECISION_METRICS)
    one = compute_decisions(np.full(5, 2), np.full(5, 2), 4)  # 1 / 0 by rounding would be any number
    assert np.isnan(one.quadratic_kappa()[0])
    assert one.accuracy()[0] == one.macro_f1()[0] == one.balanced_accuracy()[0] == 1
    assert compute_decisions(np.array([0, 1]), np.array([1, 0]), 2).quadratic_kappa()[0] == -1


def test_count_classes_refuses_what_is_no_class():
    with pytest.raises(MetricError, match="same length"):
        count_classes(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(MetricError, match="There are 2 classes"):
        count_classes(np.array([0, 2]), np.array([0, 1]), 2)


def test_bootstrap_draws_patients_not_images():
    """Ten images of one patient say as little as one: the interval is as wide as that of the patients alone."""
    true, predicted = draw(3, num_images=60)
    many = [np.repeat(values, 10) for values in (true, predicted)]
    patients = np.arange(60)
    options = {"num_samples": 300, "seed": 5}
    alone = bootstrap_decisions(true, predicted, NUM_CLASSES, patients, **options)
    repeated = bootstrap_decisions(*many, NUM_CLASSES, np.repeat(patients, 10), **options)
    assert set(alone) == set(DECISION_METRICS)
    for name, values in alone.items():
        np.testing.assert_allclose(repeated[name], values, atol=1e-12)
        assert np.nanstd(values) > 0.01
        assert abs(np.nanmean(values) - reckon(true, predicted)[name]) < 0.05


def test_means_over_classes_leave_out_resamplings_that_lack_one():
    """As scikit-learn reckons over the classes of the whole split, in the resamplings that hold every true one."""
    true, predicted = draw(3, num_images=60)
    num_samples, seed = 200, 5
    patients = np.array([f"{number:02}" for number in range(60)])  # in the order in which they are drawn
    drawn = bootstrap_decisions(true, predicted, NUM_CLASSES, patients, num_samples=num_samples, seed=seed)
    counts = np.concatenate([part for _, part in draw_patients(60, num_samples, 60, seed)]).astype(int)
    occurring, counted = np.unique(true), np.unique([true, predicted])
    num_lacking = 0
    for at, row in enumerate(counts):
        images = np.repeat(np.arange(60), row)
        if set(true[images]) != set(occurring):
            num_lacking += 1
            assert np.isnan(drawn["macro_f1"][at])
            assert np.isnan(drawn["balanced_accuracy"][at])
            continue
        options = {"average": "macro", "zero_division": 0}
        expected = f1_score(true[images], predicted[images], labels=counted, **options)
        assert drawn["macro_f1"][at] == pytest.approx(expected, abs=1e-12)
        expected = recall_score(true[images], predicted[images], labels=occurring, **options)
        assert drawn["balanced_accuracy"][at] == pytest.approx(expected, abs=1e-12)
    assert 0 < num_lacking < num_samples
    assert not np.isnan(drawn["accuracy"]).any()


@pytest.mark.parametrize(("num_rare", "has_interval"), [(1, False), (9, True)])
def test_means_over_classes_need_half_of_the_resamplings(num_rare, has_interval):
    """Two classes of one image each are together in 40 % of the resamplings."""
    true = np.repeat([0, 1, 2], [40, num_rare, num_rare])
    targets = np.eye(3)[true]
    probs = probs_from_logits(np.random.default_rng(0).normal(size=targets.shape) + targets, "multiclass")
    result = evaluate_predictions(
        probs, targets, np.arange(len(true)), ("a", "b", "c"), "multiclass",
        thresholds=None, bootstrap_samples=200, confidence=0.95, seed=0,
    )  # fmt: skip
    for name in ("macro_f1", "balanced_accuracy"):
        assert (result[f"{name}_low"] is not None) == (result[f"{name}_high"] is not None) == has_interval
    assert result["accuracy_low"] < result["accuracy"]
    if has_interval:
        assert result["reason"] is None
        assert result["num_valid_samples"] > 190
    else:
        assert result["reason"] == f"only {result['num_valid_samples']} of 200 resamplings held every class"
        assert 40 < result["num_valid_samples"] < 100


def evaluate(num_classes, *, is_ordered=False, num_images=150, num_samples=50):
    rng = np.random.default_rng(2)
    true = rng.integers(0, num_classes, num_images)
    targets = np.eye(num_classes)[true]
    probs = probs_from_logits(rng.normal(size=targets.shape) + 1.5 * targets, "multiclass")
    labels = tuple(f"grade {k}" for k in range(num_classes))
    result = evaluate_predictions(
        probs, targets, rng.integers(0, 50, num_images), labels, "multiclass",
        thresholds=dict.fromkeys(labels, 0.5), bootstrap_samples=num_samples, confidence=0.95, seed=0,
        is_ordered=is_ordered,
    )  # fmt: skip
    return result, true, probs.argmax(axis=1)


def test_evaluation_of_grades_has_the_kappa_and_the_confusion():
    result, true, predicted = evaluate(3, is_ordered=True)
    assert result["confusion"] == confusion_matrix(true, predicted).tolist()
    assert result["quadratic_kappa"] == pytest.approx(cohen_kappa_score(true, predicted, weights="quadratic"))
    for name in DECISION_METRICS:
        assert name in METRICS
        assert result[f"{name}_low"] < result[name] < result[f"{name}_high"]
    for k, figures in enumerate(result["per_class"].values()):
        assert figures["threshold"] is None  # the likeliest class is the answer, whatever was chosen
        assert figures["f1"] == pytest.approx(f1_score(true == k, predicted == k))
        assert figures["sensitivity"] == pytest.approx(recall_score(true == k, predicted == k))


def test_evaluation_of_classes_without_order_has_no_kappa():
    result, *_ = evaluate(3)
    assert result["quadratic_kappa"] is result["quadratic_kappa_low"] is result["quadratic_kappa_high"] is None
    assert result["weighted_f1_low"] < result["weighted_f1"]


def test_evaluation_of_very_many_classes_leaves_the_matrix_out():
    result, *_ = evaluate(MAX_CONFUSION_CLASSES + 1, num_samples=3)
    assert result["confusion"] is None
    assert result["macro_f1"] is not None
    assert result["macro"]["labels_left_out"]  # 150 images cannot have them all
