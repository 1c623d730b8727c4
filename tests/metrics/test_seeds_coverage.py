"""The whole chain of the finding's interval, on runs that truly do not differ: how often does it cover 0?"""

import numpy as np
import pytest

from medpeft_core.metrics.auroc import compute_auroc
from medpeft_core.metrics.bootstrap import bootstrap_samples
from medpeft_core.metrics.seeds import compare_seeds, estimate_seeds

NUM_TRIALS, NUM_SAMPLES = 400, 100
NUM_PATIENTS, IMAGES_EACH = 50, 2


def draw_runs(rng: np.random.Generator, targets: np.ndarray, difficulty: np.ndarray, num_seeds: int) -> np.ndarray:
    """(R, N) scores: what makes an image hard is the same for all runs, and each seed learned more or less."""
    skill = rng.normal(1.0, 0.25, size=(num_seeds, 1))
    return skill * targets + difficulty + rng.normal(0, 0.7, size=(num_seeds, len(targets)))


def measure(scores: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC (R,) of each run, and (R, S) in resamplings of the patients that are the same for all."""
    figures = np.array([compute_auroc(row, targets) for row in scores])
    samples = bootstrap_samples(
        scores.T, np.tile(targets[:, None], len(scores)), patients, num_samples=NUM_SAMPLES, seed=0, metrics=("auroc",)
    )["auroc"]
    return figures, samples.T


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_interval_of_two_equal_settings_covers_zero_as_often_as_it_says(num_seeds: int) -> None:
    """New patients and new seeds in every trial; the seeds of a pair share nothing, so nothing is won by pairing."""
    rng, num_covering, widths = np.random.default_rng(7), 0, []
    patients = np.repeat([f"p{number:03d}" for number in range(NUM_PATIENTS)], IMAGES_EACH)
    for _ in range(NUM_TRIALS):
        targets = np.repeat(rng.random(NUM_PATIENTS) < 0.35, IMAGES_EACH).astype(float)
        difficulty = np.repeat(rng.normal(0, 0.8, NUM_PATIENTS), IMAGES_EACH)  # images of a patient are alike
        first, second = (measure(draw_runs(rng, targets, difficulty, num_seeds), targets, patients) for _ in range(2))
        found = compare_seeds(first[0], second[0], first[1], second[1], confidence=0.95)
        num_covering += found.low <= 0 <= found.high
        widths.append(found.high - found.low)
    assert 0.92 <= num_covering / NUM_TRIALS <= 0.98
    assert np.median(widths) < 0.4, "an interval that covers everything says nothing"


def test_interval_of_a_mean_covers_the_true_one() -> None:
    """The true AUROC of such runs, from very many patients and seeds."""
    rng, num_covering, num_seeds = np.random.default_rng(8), 0, 5
    many = (rng.random(4000) < 0.35).astype(float)
    truth = np.mean(measure_only(draw_runs(rng, many, rng.normal(0, 0.8, 4000), 200), many))
    patients = np.repeat([f"p{number:03d}" for number in range(NUM_PATIENTS)], IMAGES_EACH)
    for _ in range(NUM_TRIALS):
        targets = np.repeat(rng.random(NUM_PATIENTS) < 0.35, IMAGES_EACH).astype(float)
        difficulty = np.repeat(rng.normal(0, 0.8, NUM_PATIENTS), IMAGES_EACH)
        figures, samples = measure(draw_runs(rng, targets, difficulty, num_seeds), targets, patients)
        found = estimate_seeds(figures, samples, confidence=0.95)
        num_covering += found.low <= truth <= found.high
    assert 0.92 <= num_covering / NUM_TRIALS <= 0.98


def measure_only(scores: np.ndarray, targets: np.ndarray) -> list[float]:
    return [float(compute_auroc(row, targets)) for row in scores]
