"""Dealing patients so that labels are spread evenly, beside scikit-learn's iterators and over random tables."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.datasets.stratified import deal_patients

SHARES = (0.7, 0.1, 0.2)


def make(seed: int, num_patients: int = 600, prevalences: tuple[float, ...] = (0.4, 0.2, 0.05, 0.01)):
    """Names, patients and labels, where some patients have many images and many of one label's."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(num_patients), rng.integers(1, 9, num_patients))
    risk = rng.gamma(0.5, 2.0, (num_patients, len(prevalences)))[patients]
    targets = (rng.random(risk.shape) < risk * prevalences).astype(np.float32)
    names = np.array([f"images/{row:05d}.png" for row in rng.permutation(len(patients))])
    return names, np.array([f"p{number}" for number in patients]), targets


def make_random(rng: np.random.Generator):
    """Any number of images, patients and labels, with labels nobody has, everybody has, or nobody knows."""
    num_images, num_labels = int(rng.integers(1, 200)), int(rng.integers(1, 7))
    patients = rng.integers(0, rng.integers(1, num_images + 1), num_images).astype(str)
    targets = (rng.random((num_images, num_labels)) < rng.choice([0, 0.01, 0.3, 1], num_labels)).astype(np.float32)
    targets[rng.random(targets.shape) < rng.choice([0, 0.5])] = np.nan
    names = rng.permutation(np.array([f"{row}.png" for row in range(num_images)]))
    shares = tuple(rng.choice([0.0, 0.1, 0.5, 1.0], int(rng.integers(2, 6))))
    return names, patients, targets, (*shares, 1.0)


def worst_deviation(parts: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> float:
    """How far a part is from its share of a label's positives at most, as a share of the label's positives."""
    counts = np.array([(targets[parts == part] == 1).sum(axis=0) for part in range(len(shares))])
    return float(np.abs(counts / counts.sum(axis=0) - shares[:, None]).max())


@pytest.mark.parametrize("seed", range(4))
def test_deal_patients_spreads_labels_and_images(seed):
    names, patients, targets = make(seed)
    parts = deal_patients(names, patients, targets, shares=SHARES, seed=seed)
    np.testing.assert_allclose(np.bincount(parts) / len(parts), SHARES, atol=0.01)
    common = targets[:, :3]  # the rarest has a few dozen positives
    ours = worst_deviation(parts, common, np.array(SHARES))
    plain = split_by_patient(patients, seed=seed)
    by_chance = worst_deviation(np.select([plain == "train", plain == "val"], [0, 1], 2), common, np.array(SHARES))
    assert ours < 0.02
    assert ours < by_chance


def test_deal_patients_spreads_at_least_as_evenly_as_scikit_learn():
    """Its iterator takes one class an image: here the rarest label that an image has."""
    names, patients, targets = make(5)
    classes = np.where(targets.any(axis=1), targets.shape[1] - 1 - targets[:, ::-1].argmax(axis=1), targets.shape[1])
    theirs = np.zeros(len(names), dtype=int)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(names, classes, patients)
    for number, (_, rows) in enumerate(folds):
        theirs[rows] = number
    ours = deal_patients(names, patients, targets, shares=(1.0,) * 5, seed=0)
    equal = np.full(5, 0.2)
    assert worst_deviation(ours, targets, equal) <= worst_deviation(theirs, targets, equal)


def test_deal_patients_of_one_image_each_gives_the_counts_of_stratified_k_fold():
    rng = np.random.default_rng(0)
    classes = rng.choice(4, 200, p=[0.55, 0.3, 0.1, 0.05])
    names = np.array([f"{row:03d}.png" for row in range(200)])
    targets = np.eye(4, dtype=np.float32)[classes]
    ours = deal_patients(names, names, targets, shares=(1.0,) * 4, seed=1)
    theirs = np.zeros(200, dtype=int)
    for number, (_, rows) in enumerate(StratifiedKFold(4).split(names, classes)):
        theirs[rows] = number
    for label in range(4):
        counts = [sorted(np.bincount(parts[classes == label], minlength=4)) for parts in (ours, theirs)]
        assert counts[0] == counts[1]


def test_deal_patients_over_random_tables():
    """No patient in two parts, no wanted part empty, no share of nothing, the same for other ids and other orders."""
    rng = np.random.default_rng(0)
    for trial in range(60):
        names, patients, targets, shares = make_random(rng)
        parts = deal_patients(names, patients, targets, shares=shares, seed=trial)
        owners = {patient: set(parts[patients == patient]) for patient in set(patients)}
        assert all(len(found) == 1 for found in owners.values())
        wanted = {part for part, share in enumerate(shares) if share > 0}
        assert set(parts) <= wanted
        assert set(parts) == wanted or len(owners) < len(wanted)
        order = rng.permutation(len(names))
        aliases = np.array([f"alias of {patient}" for patient in patients])
        again = deal_patients(names[order], aliases[order], targets[order], shares=shares, seed=trial)
        np.testing.assert_array_equal(again, parts[order])


def test_deal_patients_follows_the_seed():
    names, patients, targets = make(0)
    parts = [deal_patients(names, patients, targets, shares=SHARES, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert (parts[0] != parts[2]).mean() > 0.2


def test_deal_patients_gives_each_part_a_positive_where_there_are_enough():
    """Five positives in 70/10/20: val gets one, though a tenth of five rounds to none."""
    names = np.array([f"{row:02d}.png" for row in range(60)])
    targets = (np.arange(60) < 5).astype(np.float32)[:, None]
    for seed in range(10):
        parts = deal_patients(names, names, targets, shares=SHARES, seed=seed)
        assert sorted(parts[:5]) == [0, 0, 0, 1, 2]
