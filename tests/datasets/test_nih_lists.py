"""Splitting NIH ChestX-ray14: by the papers' lists, by NIH's own, or by seed."""

import numpy as np
import pandas as pd
import pytest
from nih_files import edit_table, names_of, read, write_lists

from medpeft_core.datasets.nih import LABELS, NihOptions, read_nih
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.errors import ConfigError, DataError


def test_nih_splits_by_seed_without_lists(make_nih):
    root = make_nih()
    manifest = read(root, seed=3)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 42, "test": 12, "val": 6}
    assert "seed 3" in manifest.notes[0]
    assert manifest.fingerprint() == read(root, seed=3).fingerprint() != read(root, seed=4).fingerprint()


@pytest.mark.parametrize("folder", [".", "lists"])
def test_nih_uses_the_papers_lists(make_nih, folder):
    root = make_nih()
    parts = write_lists(root / folder, with_labels=True)
    manifest = read(root)
    for split in ("train", "val", "test"):
        assert names_of(manifest, split) == set(parts[f"{split}_list"])
    assert len(manifest.notes) == 1
    assert "papers' lists" in manifest.notes[0]


def test_nih_uses_nihs_own_lists(make_nih):
    root = make_nih()
    parts = write_lists(root, with_labels=False)
    manifest = read(root)
    assert names_of(manifest, "test") == set(parts["test_list"])
    assert len(manifest.split("val")) == 6
    assert not find_patient_overlap(manifest.table)
    assert "NIH's test_list.txt" in manifest.notes[0]


def test_nih_tells_the_two_test_lists_apart_by_their_columns(make_nih):
    root = make_nih()
    write_lists(root, with_labels=False)
    write_lists(root / "lists", with_labels=True)
    assert len(read(root, lists="nih").split("val")) == len(read(root, lists="papers").split("val")) == 6
    assert "papers" in read(root).notes[0]
    assert "NIH's" in read(root, lists="nih").notes[0]
    assert "seed" in read(root, lists="none").notes[0]


def test_nih_lets_the_lists_labels_win_and_says_so(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    edit_table(root, "00000001_001.png,Mass|Hernia", "00000001_001.png,Mass")
    manifest = read(root)
    assert manifest.table.set_index("image").loc["images/00000001_001.png", "Hernia"] == 1
    assert "The labels of 1 images in the lists differ from the table; the lists were used." in manifest.notes


def test_nih_leaves_out_what_is_not_listed_or_not_in_the_table(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    lines = (root / "train_list.txt").read_text().splitlines()
    extra = lines[0].replace("00000001_000", "00009999_000")
    (root / "train_list.txt").write_text("\n".join([*lines[2:], extra]))
    notes = read(root).notes
    assert "2 images of the label table are in no split list; they were left out." in notes
    assert "1 images of the split lists are not in the label table; they were left out." in notes


def test_nih_refuses_odd_lists(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    train = root / "train_list.txt"
    good = train.read_text().splitlines()
    train.write_text("\n".join([*good, good[0]]))
    with pytest.raises(
        DataError, match=r"1 images are in the split lists more than once, for example 00000001_000\.png in train_list"
    ):
        read(root)
    train.write_text("\n".join([good[0], good[1] + " 1"]))
    with pytest.raises(DataError, match=r"Line 2 of .*train_list\.txt has 16 columns, but it must have 15 columns"):
        read(root)
    train.write_text("\n".join([good[0], good[1][:-1] + "7"]))
    with pytest.raises(DataError, match=r"Line 2 of .* has the label '7', but it must be 0 or 1"):
        read(root)
    train.unlink()
    with pytest.raises(DataError, match=r"lacks train_list\.txt with 15 columns.*lists=none"):
        read(root)
    assert len(read(root, lists="none")) == 60
    with pytest.raises(DataError, match=r"lacks train_val_list\.txt, test_list\.txt with 1 column on each line"):
        read(root, lists="nih")


def test_nih_refuses_an_unknown_choice_of_lists():
    with pytest.raises(ConfigError, match=r"data\.lists is 'mine', but it must be one of auto, nih, papers, none"):
        NihOptions(lists="mine")


def test_nih_splits_a_partial_download_like_the_whole(make_nih):
    root = make_nih()
    whole = read(root).table.set_index("image")["split"]
    for path in sorted((root / "images").iterdir())[10:40]:
        path.unlink()
    part = read(root).table.set_index("image")["split"]
    assert part.equals(whole[part.index])


def test_nih_reads_a_table_of_the_full_size(tmp_path):
    """112,120 rows with the papers' lists; the films are empty files, for none is opened."""
    rng = np.random.default_rng(0)
    patients = np.sort(rng.integers(1, 30806, 112_120))
    names = [f"{patient:08d}_{number:06d}.png" for number, patient in enumerate(patients)]
    finding = rng.integers(0, 15, len(names))
    table = pd.DataFrame({
        "Image Index": names, "Finding Labels": np.array([*LABELS, "No Finding"])[finding], "Patient ID": patients,
        "Patient Age": 50, "Patient Gender": "F", "View Position": "AP",
    })  # fmt: skip
    table.to_csv(tmp_path / "Data_Entry_2017.csv", index=False)
    part = np.where(patients < 21000, "train", np.where(patients < 24000, "val", "test"))
    for name in ("train", "val", "test"):
        rows = np.flatnonzero(part == name)
        lines = [f"{names[row]} " + " ".join("1" if finding[row] == k else "0" for k in range(14)) for row in rows]
        (tmp_path / f"{name}_list.txt").write_text("\n".join(lines))
    (tmp_path / "images").mkdir()
    for name in names[::10]:
        (tmp_path / "images" / name).touch()
    manifest = read_nih(tmp_path, NihOptions(), split_seed=0, progress=ignore_progress)
    assert len(manifest) == 11_212


def test_nih_reads_the_real_sample(nih_sample):
    manifest = read(nih_sample)
    assert [len(manifest.split(name)) for name in ("train", "val", "test")] == [503, 77, 201]
    for split in ("train", "val", "test"):
        lines = (nih_sample / f"{split}_list.txt").read_text().splitlines()
        listed = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in lines}
        own = manifest.split(split)
        names = [name.rpartition("/")[2] for name in own.table["image"]]
        assert set(names) == set(listed)
        np.testing.assert_array_equal(own.targets(), [listed[name] for name in names])
    assert not find_patient_overlap(manifest.table)
    assert not any("differ" in note for note in manifest.notes)
    without_lists = read(nih_sample, lists="none")
    assert set(without_lists.table["split"]) == {"train", "val", "test"}
    np.testing.assert_array_equal(without_lists.targets(), manifest.targets())
