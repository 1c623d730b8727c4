"""Nested, seeded, patient-level fractions of a training set."""

import numpy as np
import pytest

from medpeft_core.datasets.fractions import count_positives, fraction_warnings, select_fraction

FRACTIONS = (0.001, 0.01, 0.02, 0.1, 0.33, 0.5, 0.99, 1.0)


@pytest.fixture
def manifest(make_manifest):
    """2,000 images of 500 patients, in random order."""
    patients = np.random.default_rng(0).integers(0, 500, 2000)
    return make_manifest([f"p{number}" for number in patients])


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_select_fraction_nests(manifest, seed):
    previous: set[int] = set()
    for fraction in FRACTIONS:
        rows = set(select_fraction(manifest, fraction, seed=seed).tolist())
        assert previous <= rows
        previous = rows
    assert len(previous) == len(manifest)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_select_fraction_takes_whole_patients_and_just_enough(manifest, fraction):
    rows = select_fraction(manifest, fraction, seed=0)
    taken = set(manifest.patient_ids[rows])
    assert len(rows) == np.isin(manifest.patient_ids, list(taken)).sum()
    largest = np.unique(manifest.patient_ids, return_counts=True)[1].max()
    assert round(fraction * 2000) <= len(rows) < max(1, round(fraction * 2000)) + largest
    assert (np.diff(rows) > 0).all()


def test_select_fraction_does_not_depend_on_the_order_of_rows(manifest):
    shuffled = manifest.select(np.random.default_rng(5).permutation(len(manifest)))
    first = manifest.table["image"].iloc[select_fraction(manifest, 0.1, seed=3)]
    second = shuffled.table["image"].iloc[select_fraction(shuffled, 0.1, seed=3)]
    assert set(first) == set(second)


def test_select_fraction_does_not_depend_on_pseudonyms(manifest):
    """Patient ids differ from home to home; the same 1 % must still be the same films everywhere."""
    renamed = manifest.table.copy()
    renamed["patient_id"] = renamed["patient_id"].map(lambda name: f"{name[::-1]}-of-another-home")
    rows = select_fraction(manifest, 0.05, seed=0)
    np.testing.assert_array_equal(select_fraction(manifest.with_table(renamed), 0.05, seed=0), rows)


def test_select_fraction_does_not_depend_on_folders(manifest):
    moved = manifest.table.copy()
    moved["image"] = [f"images_{number % 3:03d}/images/{name}" for number, name in enumerate(moved["image"])]
    rows = select_fraction(manifest, 0.05, seed=0)
    np.testing.assert_array_equal(select_fraction(manifest.with_table(moved), 0.05, seed=0), rows)


def test_select_fraction_tells_equal_names_in_two_folders_apart(make_manifest):
    manifest = make_manifest(["a", "b", "c", "d"])
    table = manifest.table.copy()
    table["image"] = ["benign/1.png", "malignant/1.png", "benign/2.png", "malignant/2.png"]
    assert len(select_fraction(manifest.with_table(table), 0.25, seed=0)) == 1


def test_select_fraction_varies_with_the_seed(manifest):
    assert set(select_fraction(manifest, 0.1, seed=0)) != set(select_fraction(manifest, 0.1, seed=1))


def test_select_fraction_works_without_patients(make_manifest):
    assert len(select_fraction(make_manifest([None] * 50), 0.1, seed=0)) == 5


def test_count_positives_ignores_unknown_labels(make_manifest):
    targets = np.array([[1, 0, np.nan], [1, np.nan, np.nan], [0, 0, np.nan], [1, 1, 1]])
    manifest = make_manifest(["a", "b", "c", "d"], targets=targets)
    counts = count_positives(manifest, np.array([0, 1, 2]))
    assert counts["num_images"].tolist() == [3, 2, 0]
    assert counts["num_positive"].tolist() == [2, 0, 0]
    assert counts["num_negative"].tolist() == [1, 2, 0]
    assert counts["prevalence"].tolist()[:2] == [2 / 3, 0]
    assert np.isnan(counts["prevalence"].iloc[2])


def test_fraction_warnings_name_labels_that_cannot_be_learned(make_manifest):
    """A set with four rare labels got four lines that differed in a name and a number."""
    targets = np.zeros((40, 6))
    targets[:, 1] = 1
    targets[:3, 2] = 1
    targets[:20, 3] = 1
    targets[:9, 4] = 1
    manifest = make_manifest([f"p{n}" for n in range(40)], targets=targets)
    assert fraction_warnings(count_positives(manifest, np.arange(40))) == [
        "label_0 and label_5 have no positive image in this training set; their outputs stay, but cannot learn.",
        "label_1 has no negative image in this training set; its output stays, but cannot learn.",
        "Few positive images in this training set: label_2 3, label_4 9; expect such labels to be learned badly and to "
        "vary with the seed.",
    ]


def test_fraction_warnings_are_silent_where_there_is_enough(make_manifest):
    targets = np.zeros((40, 1))
    targets[:10] = 1
    assert fraction_warnings(count_positives(make_manifest(list(range(40)), targets=targets), np.arange(40))) == []
