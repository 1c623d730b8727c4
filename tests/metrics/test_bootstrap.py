"""The patient-level bootstrap: equal to really repeating images, honest in its coverage, blind to row order."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from medpeft_core.errors import MetricError
from medpeft_core.metrics import bootstrap as bootstrap_module
from medpeft_core.metrics.bootstrap import bootstrap_intervals, bootstrap_means, bootstrap_samples
from medpeft_core.metrics.weighted import Ranking, WeightedRanking


def draw(seed, *, num_images=150, num_classes=4, levels=8):
    """Clustered data with ties, unknown labels, and a rare last class."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((num_images, num_classes)) < np.linspace(0.6, 0.03, num_classes)).astype(float)
    targets[:2, :] = np.array([[0], [1]])
    probs = np.round((rng.normal(size=targets.shape) + targets) * levels) / levels
    targets[rng.random(targets.shape) < 0.1] = np.nan
    patients = rng.integers(0, num_images // 3, num_images)
    return probs, targets, patients


@pytest.mark.parametrize("levels", [1, 4, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_weighted_metrics_equal_those_of_repeated_images(seed, levels):
    probs, targets, _ = draw(seed, levels=levels)
    rng = np.random.default_rng(seed)
    known = ~np.isnan(targets[:, 0])
    probs, targets = probs[known, 0], targets[known, 0]
    weights = rng.poisson(1.0, (20, len(probs)))
    ranking = Ranking.build(probs, targets)
    weighted = WeightedRanking.build(ranking, weights[:, ranking.order])
    for row, auroc, auprc in zip(weights, weighted.compute_auroc(), weighted.compute_average_precision(), strict=True):
        repeated = np.repeat(np.arange(len(probs)), row)
        assert auroc == pytest.approx(roc_auc_score(targets[repeated], probs[repeated]), abs=1e-12)
        assert auprc == pytest.approx(average_precision_score(targets[repeated], probs[repeated]), abs=1e-12)


def test_weighted_metrics_of_a_class_that_was_not_drawn_are_nan():
    ranking = Ranking.build(np.array([0.3, 0.2, 0.1]), np.array([1, 0, 0]))
    weighted = WeightedRanking.build(ranking, np.array([[0, 2, 1], [3, 0, 0], [1, 1, 1], [0, 0, 0]]))
    np.testing.assert_array_equal(weighted.compute_auroc(), [np.nan, np.nan, 1.0, np.nan])
    np.testing.assert_array_equal(weighted.compute_average_precision(), [np.nan, 1.0, 1.0, np.nan])


def test_bootstrap_samples_draw_whole_patients(monkeypatch):
    """Each resampling is some multiset of patients: recompute it from the counts that were drawn."""
    probs, targets, patients = draw(1, num_classes=2)
    drawn = []
    real = bootstrap_module.draw_patients

    def remember(*arguments):
        for start, counts in real(*arguments):
            drawn.append(counts.copy())
            yield start, counts

    monkeypatch.setattr(bootstrap_module, "draw_patients", remember)
    monkeypatch.setattr(bootstrap_module, "CELLS_AT_ONCE", 1000)
    samples = bootstrap_samples(probs, targets, patients, num_samples=25, seed=3)
    counts = np.concatenate(drawn)
    names = np.unique(patients.astype(str))
    assert counts.shape == (25, len(names))
    assert np.all(counts.sum(axis=1) == len(names))
    for number, row in enumerate(counts):
        rows = np.concatenate(
            [np.flatnonzero(patients.astype(str) == n) for n, c in zip(names, row, strict=True) for _ in range(c)]
        )
        rows = rows[~np.isnan(targets[rows, 0])]
        assert samples["auroc"][number, 0] == pytest.approx(roc_auc_score(targets[rows, 0], probs[rows, 0]), abs=1e-12)


def test_bootstrap_does_not_depend_on_the_order_of_rows_or_on_the_portions(monkeypatch):
    probs, targets, patients = draw(2)
    options = {"num_samples": 60, "confidence": 0.9, "seed": 5}
    first = bootstrap_intervals(probs, targets, patients, **options)
    order = np.random.default_rng(0).permutation(len(probs))
    monkeypatch.setattr(bootstrap_module, "CELLS_AT_ONCE", 700)
    second = bootstrap_intervals(probs[order], targets[order], patients[order], **options)
    for name in ("auroc", "auprc"):
        for one, other in zip(
            [*first.per_class[name], first.macro[name]], [*second.per_class[name], second.macro[name]], strict=True
        ):
            assert one.num_valid_samples == other.num_valid_samples
            assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_bootstrap_intervals_are_percentiles_of_the_valid_samples():
    probs, targets, patients = draw(4)
    samples = bootstrap_samples(probs, targets, patients, num_samples=200, seed=1)
    result = bootstrap_intervals(probs, targets, patients, num_samples=200, confidence=0.8, seed=1)
    rare = samples["auroc"][:, -1]
    valid = rare[~np.isnan(rare)]
    interval = result.per_class["auroc"][-1]
    assert 0 < interval.num_valid_samples == len(valid) < 200, "the rare class is missing now and then"
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(valid, [0.1, 0.9])))
    means = samples["auroc"].mean(axis=1)
    assert result.macro["auroc"].num_valid_samples == np.sum(~np.isnan(means)) == len(valid)
    assert result.macro["auroc"].low == pytest.approx(np.quantile(means[~np.isnan(means)], 0.1))


def test_bootstrap_macro_ignores_classes_undefined_on_the_full_data():
    probs, targets, patients = draw(6, num_classes=2)
    options = {"num_samples": 50, "confidence": 0.95, "seed": 0}
    both = bootstrap_intervals(probs[:, :1], targets[:, :1], patients, **options)
    targets[:, 1] = np.where(np.isnan(targets[:, 1]), np.nan, 0)
    one = bootstrap_intervals(probs, targets, patients, **options)
    assert one.macro == both.macro
    assert one.per_class["auroc"][1].num_valid_samples == 0
    assert math.isnan(one.per_class["auroc"][1].low)


def test_bootstrap_means_average_the_drawn_images():
    values, patients = np.array([1.0, 0.0, 1.0, 1.0]), np.array(["a", "b", "c", "c"])
    means = bootstrap_means(values, patients, num_samples=500, seed=0)
    assert set(np.round(means, 6)) <= {0.0, 1.0, round(2 / 3, 6), 0.5, round(3 / 4, 6), 0.333333, 0.8}
    assert np.mean(means) == pytest.approx(0.75, abs=0.05)


def simulate(rng, num_patients, images_each):
    """A binormal score with a part that all images of a patient share; the label is the patient's."""
    patient_targets = np.arange(num_patients) % 2
    shared = rng.normal(size=num_patients)
    patients = np.repeat(np.arange(num_patients), images_each)
    probs = patient_targets[patients] + shared[patients] + 0.3 * rng.normal(size=len(patients))
    return probs[:, None], patient_targets[patients][:, None].astype(float), patients


def count_covered(by_patient):
    rng = np.random.default_rng(11)
    truth = norm.cdf(1 / np.sqrt(2 * (1 + 0.3**2)))
    covered = 0
    for number in range(200):
        probs, targets, patients = simulate(rng, num_patients=60, images_each=4)
        groups = patients if by_patient else np.arange(len(probs))
        options = {"num_samples": 300, "confidence": 0.95, "seed": number, "metrics": ("auroc",)}
        interval = bootstrap_intervals(probs, targets, groups, **options).macro["auroc"]
        covered += interval.low <= truth <= interval.high
    return covered / 200


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    assert 0.90 <= count_covered(by_patient=True) <= 0.98


def test_bootstrap_by_image_would_be_too_narrow():
    """Why patients are drawn: intervals from single images miss the truth far more often than one time in twenty."""
    assert count_covered(by_patient=False) < 0.80


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"patients": np.arange(3)}, "one for each of the 150 images"),
        ({"patients": np.array([None] * 150, dtype=object)}, "150 images have no patient id"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"confidence": 95}, "confidence is 95"),
        ({"probs": np.zeros((150, 2))}, r"both must be \(N, K\)"),
    ],
)
def test_bootstrap_refuses_odd_input(change, text):
    probs, targets, patients = draw(0)
    given = {"probs": probs, "targets": targets, "patients": patients, "num_samples": 10, "confidence": 0.9, "seed": 0}
    given |= change
    with pytest.raises(MetricError, match=text):
        bootstrap_intervals(given.pop("probs"), given.pop("targets"), given.pop("patients"), **given)
