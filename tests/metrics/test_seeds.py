"""The interval over seeds and patients: its parts by hand, its coverage by simulation, and what it refuses."""

import math

import numpy as np
import pytest
from scipy.stats import t

from medpeft_core.errors import MetricError
from medpeft_core.metrics.seeds import compare_seeds

NUM_TRIALS = 2000


def test_parts_are_those_of_the_definition() -> None:
    first, second = np.array([0.70, 0.72, 0.71]), np.array([0.74, 0.73, 0.78])
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.02, size=50)  # what the patients of a resampling do to all runs of the second setting
    samples = rng.normal(0.7, 0.02, size=(3, 50)), shared + rng.normal(0.75, 0.02, size=(3, 50))
    found = compare_seeds(first, second, *samples, confidence=0.9)
    differences = [0.04, 0.01, 0.07]
    assert found.mean == pytest.approx(0.04)
    assert found.seed_sd == pytest.approx(0.03)
    gains = samples[1] - samples[0]
    common = [np.cov(gains[i], gains[j])[0, 1] for i, j in ((0, 1), (0, 2), (1, 2))]
    common = max(sum(common) / 3, 0.0)
    assert found.patient_sd == pytest.approx(math.sqrt(common))
    seeds = np.var(differences, ddof=1) / 3
    total = seeds + common
    assert found.degrees == pytest.approx(total**2 / (seeds**2 / 2))
    half = t.ppf(0.95, found.degrees) * math.sqrt(total)
    assert (found.low, found.high) == pytest.approx((0.04 - half, 0.04 + half))


@pytest.mark.parametrize(("seed_sd", "patient_sd"), [(0.02, 0.005), (0.01, 0.01), (0.003, 0.02)])
@pytest.mark.parametrize("num_seeds", [3, 5])
def test_interval_of_a_true_zero_covers_it_about_as_often_as_it_says(
    seed_sd: float, patient_sd: float, num_seeds: int
) -> None:
    """A percentile bootstrap over 5 seeds covers 85 %; this must not."""
    rng = np.random.default_rng(1)
    num_covering = 0
    for _ in range(NUM_TRIALS):
        by_patients = rng.normal(0, patient_sd)  # the test patients of this trial favour one setting by so much
        second = rng.normal(by_patients, seed_sd, size=num_seeds)
        resampled = rng.normal(by_patients, patient_sd, size=200)
        samples = np.broadcast_to(resampled, (num_seeds, 200))
        found = compare_seeds(np.zeros(num_seeds), second, np.zeros((num_seeds, 200)), samples, confidence=0.95)
        num_covering += found.low <= 0 <= found.high
    assert 0.92 <= num_covering / NUM_TRIALS <= 0.98


def test_one_seed_leaves_the_patients_interval() -> None:
    samples = np.random.default_rng(2).normal(0.1, 0.02, size=(1, 4000))
    found = compare_seeds(np.array([0.6]), np.array([0.7]), np.zeros((1, 4000)), samples, confidence=0.95)
    assert math.isnan(found.seed_sd)
    assert found.low == pytest.approx(0.1 - 1.96 * samples.std(ddof=1), abs=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "samples", "confidence", "message"),
    [
        (np.zeros(2), np.zeros(3), np.zeros((2, 9)), 0.95, "both must be"),
        (np.zeros(2), np.zeros(2), np.zeros((3, 9)), 0.95, "R = 2"),
        (np.zeros(2), np.array([0.1, np.nan]), np.zeros((2, 9)), 0.95, "NaN"),
        (np.zeros(2), np.zeros(2), np.full((2, 9), np.nan), 0.95, "Fewer than two resamplings"),
        (np.zeros(2), np.zeros(2), np.zeros((2, 9)), 1.0, "confidence is 1"),
    ],
)
def test_bad_input_is_told(
    first: np.ndarray, second: np.ndarray, samples: np.ndarray, confidence: float, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        compare_seeds(first, second, samples, samples, confidence=confidence)
