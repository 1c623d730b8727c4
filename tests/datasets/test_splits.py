"""Splitting by patient, and patients in two splits."""

import numpy as np
import pytest

from medpeft_core.datasets.splits import (
    UNCHECKED_NOTE,
    apply_overlap_policy,
    find_patient_overlap,
    is_doubt,
    split_by_patient,
)
from medpeft_core.errors import DataError


def make_patients(seed: int = 0, num_patients: int = 400) -> np.ndarray:
    """Patients with 1 to 20 images, shuffled."""
    rng = np.random.default_rng(seed)
    names = np.array([f"p{number}" for number in range(num_patients)])
    return rng.permutation(np.repeat(names, rng.integers(1, 21, num_patients)))


@pytest.mark.parametrize("seed", range(5))
def test_split_by_patient_parts_no_patient(seed):
    patients = make_patients()
    splits = split_by_patient(patients, seed=seed)
    for name in np.unique(patients):
        assert len(set(splits[patients == name])) == 1


@pytest.mark.parametrize("seed", range(5))
def test_split_by_patient_comes_close_to_the_fractions(seed):
    splits = split_by_patient(make_patients(), seed=seed)
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert abs((splits == name).mean() - share) < 20 / len(splits)  # one patient with the most images


def test_split_by_patient_depends_on_the_seed_and_not_on_the_order():
    patients = make_patients()
    order = np.random.default_rng(3).permutation(len(patients))
    splits = split_by_patient(patients, seed=1)
    np.testing.assert_array_equal(split_by_patient(patients[order], seed=1), splits[order])
    assert (split_by_patient(patients, seed=2) != splits).mean() > 0.2


def test_split_by_patient_is_the_same_on_every_machine():
    expected = ["train", "test", "val", "train", "test", "train", "train", "train", "train", "train"]
    assert split_by_patient(np.array(list("abcdefghij")), seed=0).tolist() == expected


def test_split_by_patient_fills_every_wanted_split():
    for seed in range(20):
        assert set(split_by_patient(np.array(["a", "b", "c"]), seed=seed)) == {"train", "val", "test"}
        assert set(split_by_patient(np.array(["a"] * 50 + ["b", "c"]), seed=seed)) == {"train", "val", "test"}
        assert "test" not in split_by_patient(make_patients(), seed=seed, fractions=(7 / 8, 1 / 8, 0))


def test_find_patient_overlap_names_patients_and_splits(make_manifest):
    manifest = make_manifest(["a", "a", "b", "b", "c", "c"], ["train", "test", "val", "val", "val", "train"])
    assert find_patient_overlap(manifest.table) == {"a": ("train", "test"), "c": ("train", "val")}


def test_find_patient_overlap_finds_nothing_without_patients(make_manifest):
    assert find_patient_overlap(make_manifest([None, None], ["train", "test"]).table) == {}


def test_apply_overlap_policy_leaves_clean_data_alone(make_manifest):
    manifest = make_manifest(["a", "b"], ["train", "test"])
    assert apply_overlap_policy(manifest, "refuse", seed=0) is manifest
    assert apply_overlap_policy(manifest, "resplit", seed=0) is manifest


def test_apply_overlap_policy_refuses_without_names_and_with_ways_out(make_manifest):
    patients = [f"SCHULZE{number}" for number in range(7)]
    manifest = make_manifest([*patients * 2, "MEIER", "MEIER"], [*["train"] * 7, *["test"] * 7, "train", "val"])
    with pytest.raises(DataError) as caught:
        apply_overlap_policy(manifest, "refuse", seed=0)
    text = str(caught.value)
    assert text.startswith("8 patients are in more than one split (7 in train and test, 1 in train and val). ")
    assert "SCHULZE" not in text, "messages of jobs are kept on disk"
    assert "data.patient_overlap=resplit" in text
    assert "data.patient_overlap=keep" in text


def test_apply_overlap_policy_keep_changes_nothing_but_the_notes(make_manifest):
    manifest = make_manifest(["a", "a", "b"], ["train", "test", "val"])
    kept = apply_overlap_policy(manifest, "keep", seed=0)
    assert kept.table.equals(manifest.table)
    assert kept.notes == (
        "1 patient is in more than one split and stayed there: results on val and test are too good.",
    )


def test_apply_overlap_policy_resplit_parts_no_patient(make_manifest):
    manifest = make_manifest([f"p{n}" for n in range(30)] * 2, ["train"] * 30 + ["test"] * 30)
    split_anew = apply_overlap_policy(manifest, "resplit", seed=4)
    assert find_patient_overlap(split_anew.table) == {}
    assert set(split_anew.table["split"]) == {"train", "val", "test"}
    assert "seed 4" in split_anew.notes[0]
    assert (manifest.table["split"][:30] == "train").all()  # the original is not touched


def test_apply_overlap_policy_says_that_it_could_not_check(make_manifest):
    manifest = make_manifest([None, None], ["train", "test"])
    assert apply_overlap_policy(manifest, "refuse", seed=0).notes == (UNCHECKED_NOTE,)
    assert "leakage between images of one patient could not be checked" in UNCHECKED_NOTE


def test_is_doubt_tells_warnings_from_notes_on_how_data_were_read(make_manifest):
    """Train showed "Split and labels of the papers' lists" in yellow, among the warnings."""
    overlapping = make_manifest([f"p{n}" for n in range(30)] * 2, ["train"] * 30 + ["test"] * 30)
    unknown = make_manifest([None, None], ["train", "test"])
    cases = ((overlapping, "keep"), (overlapping, "resplit"), (unknown, "refuse"))
    assert all(is_doubt(apply_overlap_policy(manifest, policy, seed=0).notes[0]) for manifest, policy in cases)
    assert not is_doubt("Split and labels of the papers' lists: train_list.txt, val_list.txt, test_list.txt.")
