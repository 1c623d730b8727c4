"""Paired differences: the same patients for both models, honest p-values, Holm's correction."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from medpeft_core.errors import MetricError
from medpeft_core.metrics import compute_macro_auroc
from medpeft_core.metrics.paired import adjust_holm, compare_samples, sample_macro_auroc

OPTIONS = {"num_samples": 400, "seed": 7}


def make_data(seed=0, *, size=240, labels=3):
    rng = np.random.default_rng(seed)
    targets = (rng.random((size, labels)) < 0.3).astype(float)
    probs = rng.standard_normal((size, labels)) + targets
    return rng, probs, targets, np.array([f"p{row // 3}" for row in range(size)])


def test_samples_are_those_of_really_drawing_patients():
    _, probs, targets, patients = make_data(size=60)
    samples = sample_macro_auroc(probs, targets, patients, num_samples=20, seed=3)
    rng, names = np.random.default_rng(3), np.unique(patients)
    for value in samples:
        drawn = names[rng.integers(0, len(names), size=len(names))]
        rows = np.concatenate([np.flatnonzero(patients == name) for name in drawn])
        assert value == pytest.approx(compute_macro_auroc(probs[rows], targets[rows]), abs=1e-12)


def test_samples_do_not_depend_on_the_order_of_the_images():
    rng, probs, targets, patients = make_data()
    order = rng.permutation(len(probs))
    first = sample_macro_auroc(probs, targets, patients, **OPTIONS)
    np.testing.assert_allclose(
        sample_macro_auroc(probs[order], targets[order], patients[order], **OPTIONS), first, atol=1e-12
    )


def test_samples_leave_out_labels_without_both_classes():
    _, probs, targets, patients = make_data()
    wider = np.column_stack([targets, np.zeros(len(targets))])
    more = np.column_stack([probs, np.zeros(len(targets))])
    np.testing.assert_array_equal(
        sample_macro_auroc(more, wider, patients, **OPTIONS), sample_macro_auroc(probs, targets, patients, **OPTIONS)
    )
    assert np.isnan(sample_macro_auroc(probs, np.zeros_like(targets), patients, **OPTIONS)).all()


def test_same_model_does_not_differ_from_itself():
    _, probs, targets, patients = make_data()
    samples = sample_macro_auroc(probs, targets, patients, **OPTIONS)
    found = compare_samples(samples, samples, confidence=0.95)
    assert (found.interval.low, found.interval.high, found.p_value) == (0, 0, 1)


def test_a_clearly_better_model_is_told_from_a_worse_one():
    _, probs, targets, patients = make_data()
    better = probs + 2 * targets
    worse, good = (sample_macro_auroc(item, targets, patients, **OPTIONS) for item in (probs, better))
    found = compare_samples(worse, good, confidence=0.95)
    assert 0 < found.interval.low < found.interval.high
    assert found.p_value == pytest.approx(2 / 401)
    turned = compare_samples(good, worse, confidence=0.95)
    assert turned.interval.high == pytest.approx(-found.interval.low)
    assert turned.p_value == found.p_value


def test_pairing_makes_the_interval_narrower_than_two_intervals_would():
    rng, probs, targets, patients = make_data()
    alike = probs + 0.1 * rng.standard_normal(probs.shape)
    first, second = (sample_macro_auroc(item, targets, patients, **OPTIONS) for item in (probs, alike))
    paired = compare_samples(first, second, confidence=0.95).interval
    unpaired = compare_samples(first, rng.permutation(second), confidence=0.95).interval
    assert (paired.high - paired.low) < 0.5 * (unpaired.high - unpaired.low)


def test_p_values_of_equal_models_are_spread_evenly():
    """Twice in a hundred comparisons of equally good models may be called different at 0.02, not ten times."""
    p_values = []
    for seed in range(150):
        rng, probs, targets, patients = make_data(seed, size=120, labels=1)
        other = rng.standard_normal(probs.shape) + targets
        pair = [sample_macro_auroc(item, targets, patients, num_samples=200, seed=1) for item in (probs, other)]
        p_values.append(compare_samples(*pair, confidence=0.95).p_value)
    assert 0.01 < np.mean(np.array(p_values) < 0.1) < 0.2
    assert 0.4 < np.mean(p_values) < 0.6


def test_undefined_resamplings_are_left_out():
    found = compare_samples(np.array([np.nan, 0.5, 0.6]), np.array([0.5, 0.7, np.nan]), confidence=0.95)
    assert found.interval.num_valid_samples == 1
    assert found.interval.low == pytest.approx(0.2)
    nothing = compare_samples(np.array([np.nan]), np.array([0.5]), confidence=0.95)
    assert np.isnan(nothing.p_value)
    with pytest.raises(MetricError, match="must be the same"):
        compare_samples(np.zeros(2), np.zeros(3), confidence=0.95)


@pytest.mark.parametrize("values", [[], [0.04], [0.01, 0.04, 0.03], [0.5, 0.001, 0.2, 0.2, 0.9]])
def test_holm_agrees_with_statsmodels(values):
    expected = multipletests(values, method="holm")[1].tolist() if values else []
    assert adjust_holm(values) == pytest.approx(expected)
