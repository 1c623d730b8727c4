"""Folders of splits: beside other folders, alone, below the classes; classes that are spelled in two ways."""

import pytest
from own_files import make_folders, read_own, write_images

from medpeft_core.datasets.own.propose import propose
from medpeft_core.errors import DataError


def name_images(*folders, count=3):
    return [f"{folder}/{folder.replace('/', '')}{number}.png" for folder in folders for number in range(count)]


def test_own_folder_takes_splits_that_lie_beside_another_folder(tmp_path):
    """A copy inside chest_xray/ made classes of train, val and test."""
    parts = [f"{split}/{name}" for split in ("train", "val", "test") for name in ("NORMAL", "PNEUMONIA")]
    write_images(tmp_path, *name_images(*(f"chest_xray/{part}" for part in parts)))
    write_images(tmp_path, *name_images(*(f"chest_xray/chest_xray/{part}" for part in parts)))
    write_images(tmp_path, "chest_xray/test/loose.png")
    proposal = propose(tmp_path)
    assert (proposal.labels, proposal.num_images) == (("NORMAL", "PNEUMONIA"), 18)
    texts = [item.text for item in proposal.findings if item.severity == "warning"]
    beside = "18 images lie beside the folders of the splits, in chest_xray/chest_xray; they were left out."
    assert beside in texts
    assert any("1 images lie in no folder of a class, for example chest_xray/test/loose.png" in text for text in texts)
    manifest = read_own("folder", tmp_path)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}


def test_own_folder_takes_splits_below_classes_beside_another_folder(tmp_path):
    write_images(tmp_path, *name_images("a/train", "a/test", "b/train", "b/test", "b/extra"))
    manifest = read_own("folder", tmp_path)
    assert (manifest.table["split"] == "test").sum() == 6
    assert "3 images lie beside the folders of the splits, in b/extra; they were left out." in manifest.notes


def test_own_folder_refuses_splits_as_classes(tmp_path):
    write_images(tmp_path, *name_images("train/train", "train/test"))
    assert "has the classes test and train, but these are splits" in propose(tmp_path).findings[0].text


def test_own_folder_tells_what_to_do_with_a_test_folder_alone(tmp_path):
    write_images(tmp_path, *name_images("test/a", "test/b", count=6))
    with pytest.raises(DataError, match="the folders put all 12 into test.*data.splits=ignore"):
        read_own("folder", tmp_path)
    assert len(read_own("folder", tmp_path, splits="ignore")) == 12


def test_own_folder_names_the_pattern_of_folders_of_patients(tmp_path):
    write_images(tmp_path, *name_images(*(f"{name}/patient{number}" for name in "AB" for number in range(6)), count=2))
    told = "may tell them: */{id}/* (data.patient_pattern)."
    assert any(note.endswith(told) for note in read_own("folder", tmp_path).notes)
    assert propose(tmp_path).offers == {"patient_pattern": "*/{id}/*"}
    assert not any(told in item.text for item in propose(tmp_path).findings)
    assert not any("may tell" in note for note in read_own("folder", make_folders(tmp_path / "f", count=2)).notes)


def test_own_folder_merges_classes_that_differ_in_capital_letters(tmp_path):
    """Cat in Train and cat in Test were two classes, of which neither was tested."""
    write_images(tmp_path, *name_images("Train/Cat", "Train/Dog", count=4), *name_images("Test/cat", "Test/dog"))
    manifest = read_own("folder", tmp_path, ordered="dog,Cat")
    assert (manifest.labels, manifest.targets().sum(axis=0).tolist()) == (("Dog", "Cat"), [7, 7])
    told = "Classes that differ in capital letters or blanks only are one: 'cat' into 'Cat', 'dog' into 'Dog'."
    assert told in manifest.notes
    assert told in [item.text for item in propose(tmp_path).findings]
