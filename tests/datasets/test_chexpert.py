"""Reading CheXpert in the layouts it comes in: labels in doubt, official test set, the papers' lists, odd tables."""

import numpy as np
import pandas as pd
import pytest
from chest_files import (
    CHEXPERT_LABELS,
    FIVE,
    add_chexpert_test,
    chexpert_paths,
    counts_of,
    edit,
    make_chexpert,
    read,
    spread,
    write_chexpert_set,
    write_image,
)

from medpeft_core.datasets.chexpert import ChexpertOptions
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.datasets.uncertain import PAPER_LABELS, apply_policy
from medpeft_core.errors import DataError

TRAIN_ROWS = 223_414
# Marks of the official train.csv: present, uncertain; then the positives of the papers' list of 10 percent, times 10.
# How many are uncertain for Cardiomegaly and Consolidation is not published with the lists; any number shows the rule.
RAW_COUNTS = {
    "Atelectasis": (33_376, 33_739, 67_260),
    "Cardiomegaly": (27_000, 8_000, 26_610),
    "Consolidation": (14_783, 27_000, 14_650),
    "Edema": (52_246, 12_984, 64_830),
    "Pleural Effusion": (86_187, 11_628, 97_370),
}


@pytest.fixture
def root(tmp_path):
    return make_chexpert(tmp_path)


def test_papers_policy_gives_the_rates_of_the_papers_lists():
    """From the marks of the official table; the estimates come from a tenth of it, so chance leaves some difference."""
    marks = np.full((TRAIN_ROWS, 5), np.nan)
    for column, name in enumerate(PAPER_LABELS):
        present, uncertain, _ = RAW_COUNTS[name]
        marks[:present, column], marks[present : present + uncertain, column] = 1, -1
        marks[-500:, column] = 0
    found = {policy: apply_policy(marks, PAPER_LABELS, policy) for policy in ("papers", "zeros", "ones", "ignore")}
    papers = dict(zip(PAPER_LABELS, found["papers"].sum(axis=0).astype(int), strict=True))
    assert papers == {
        "Atelectasis": 67_115, "Cardiomegaly": 27_000, "Consolidation": 14_783, "Edema": 65_230,
        "Pleural Effusion": 97_815,
    }  # fmt: skip
    for name, (_, _, estimate) in RAW_COUNTS.items():
        sd = 10 * (estimate / 10 * (1 - estimate / TRAIN_ROWS)) ** 0.5
        assert abs(papers[name] - estimate) < 2.5 * sd
    assert found["zeros"].sum(axis=0).tolist() == [present for present, _, _ in RAW_COUNTS.values()]
    assert found["ones"].sum(axis=0).tolist() == [present + doubt for present, doubt, _ in RAW_COUNTS.values()]
    assert np.isnan(found["ignore"]).sum(axis=0).tolist() == [doubt for _, doubt, _ in RAW_COUNTS.values()]
    assert np.nansum(found["ignore"], axis=0).tolist() == found["zeros"].sum(axis=0).tolist()
    assert not np.isnan(found["papers"]).any()


def test_chexpert_official_sets_have_the_papers_counts(root):
    """234 val images of 200 patients, 668 test images of 500; label order and positives as in the papers."""
    valid = chexpert_paths("valid", 64541, 200, 234, 32)
    write_chexpert_set(root, "valid.csv", valid, spread((80, 68, 33, 45, 67), 234))
    test = chexpert_paths("test", 64741, 500, 668, 150)
    write_chexpert_set(root, "test_labels.csv", test, spread((178, 175, 35, 85, 120), 668))
    manifest = read("chexpert", root)
    assert manifest.labels == FIVE == DATASETS["chexpert"].labels
    assert counts_of(manifest, "val") == [80, 68, 33, 45, 67]
    assert counts_of(manifest, "test") == [178, 175, 35, 85, 120]
    for split, images, patients, laterals in (("val", 234, 200, 32), ("test", 668, 500, 150)):
        table = manifest.split(split).table
        assert (len(table), table["patient_id"].nunique()) == (images, patients)
        assert (table["view"] == "LATERAL").sum() == laterals
    assert "Official split: train, valid (val) and test." in manifest.notes
    assert len(read("chexpert", root, views="frontal").split("test")) == 518


@pytest.mark.parametrize(
    ("policy", "first", "second"),
    [
        ("papers", [1, 0, 0, 0, 1], [1, 0, 0, 1, 0]),
        ("zeros", [1, 0, 0, 0, 0], [0, 0, 0, 1, 0]),
        ("ones", [1, 1, 0, 0, 1], [1, 0, 1, 1, 0]),
        ("ignore", [1, np.nan, 0, 0, np.nan], [np.nan, 0, np.nan, 1, 0]),
    ],
)
def test_chexpert_turns_doubt_into_targets(root, policy, first, second):
    manifest = read("chexpert", root, uncertain=policy)
    images = manifest.table["image"].tolist()
    targets = manifest.targets()
    np.testing.assert_array_equal(targets[images.index("train/patient00001/study1/view1_frontal.jpg")], first)
    np.testing.assert_array_equal(targets[images.index("train/patient00001/study1/view2_lateral.jpg")], second)
    assert manifest.notes[0].startswith("Uncertain labels count as")


def test_chexpert_reads_people_views_and_all_labels(root):
    edit(
        root / "train.csv",
        "patient00002/study1/view1_frontal.jpg,Female,68,Frontal,AP",
        "patient00002/study1/view1_frontal.jpg,Unknown,0,Frontal,LL",
    )
    manifest = read("chexpert", root, labels="all")
    assert manifest.labels[:3] == ("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly")
    assert len(manifest.labels) == 14
    assert "for the others 0 is the lab's choice" in manifest.notes[0]
    rows = manifest.table.set_index("image")
    frontal, lateral = (
        rows.loc[f"train/patient00001/study1/{view}.jpg"] for view in ("view1_frontal", "view2_lateral")
    )
    assert (frontal["patient_id"], frontal["age"], frontal["sex"], frontal["view"]) == ("patient00001", 68, "F", "AP")
    assert lateral["view"] == "LATERAL"
    odd = rows.loc["train/patient00002/study1/view1_frontal.jpg"]
    assert odd["age"] == 0
    assert pd.isna(odd["sex"])
    assert pd.isna(odd["view"])
    views = read("chexpert", root, views="frontal").table["image"]
    assert len(views) == 28
    assert not views.str.contains("lateral").any()


def test_chexpert_without_the_test_set_tests_on_valid_and_says_so(root):
    manifest = read("chexpert", root)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 33, "test": 4, "val": 3}
    assert manifest.split("test").table["image"].str.startswith("valid/").all()
    assert not find_patient_overlap(manifest.table)
    note = next(note for note in manifest.notes if "official valid set is the test split" in note)
    assert "val is 3 training images, chosen by patient, seed 0. Results cannot be compared" in note
    assert read("chexpert", root, seed=1).fingerprint() != manifest.fingerprint()
    with pytest.raises(DataError, match=r"lacks the official test set: .*--set data\.test_set=valid"):
        read("chexpert", root, test_set="official")
    add_chexpert_test(root)
    assert len(read("chexpert", root).split("test")) == 4
    assert read("chexpert", root).split("test").table["image"].str.startswith("test/").all()
    assert read("chexpert", root, test_set="valid").split("test").table["image"].str.startswith("valid/").all()


def test_chexpert_expands_the_studies_of_groundtruth(root):
    """The released labels name studies, not images."""
    paths = add_chexpert_test(root)
    (root / "test_labels.csv").unlink()
    marks = ",".join("1" if name == "Atelectasis" else "0" for name in CHEXPERT_LABELS.split(","))
    lines = [f"CheXpert-v1.0/test/patient{64741 + number}/study1,{marks}" for number in range(3)]
    (root / "groundtruth.csv").write_text("\n".join([f"Study,{CHEXPERT_LABELS}", *lines]))
    test = read("chexpert", root).split("test")
    assert sorted(test.table["image"]) == sorted(paths)
    assert test.targets().sum(axis=0).tolist() == [4, 0, 0, 0, 0]
    assert (test.table["view"] == "LATERAL").sum() == 1


def test_chexpert_finds_every_layout(tmp_path, root):
    """The folder above, CheXlocalize beside it, and the four batches of the large version."""
    small = read("chexpert", root)
    above = read("chexpert", tmp_path)
    assert above.table["image"].tolist() == [f"CheXpert-v1.0-small/{name}" for name in small.table["image"]]
    add_chexpert_test(tmp_path / "chexlocalize/CheXpert")
    assert len(read("chexpert", tmp_path).split("test")) == 4
    large = tmp_path / "large"
    first = large / "CheXpert-v1.0 batch 1 (validate & csv)"
    made = make_chexpert(tmp_path / "made", version="CheXpert-v1.0")
    large.mkdir()
    made.rename(first)
    for number, patients in ((1, range(1, 5)), (3, range(5, 13))):
        batch = large / f"CheXpert-v1.0 batch {number + 1} (train {number})"
        batch.mkdir()
        for patient in patients:
            (first / f"train/patient{patient:05d}").rename(batch / f"patient{patient:05d}")
    (first / "train").rmdir()
    manifest = read("chexpert", large)
    assert len(manifest) == 40
    assert all(path.is_file() for path in manifest.paths())
    np.testing.assert_array_equal(manifest.targets().sum(axis=0), small.targets().sum(axis=0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1.0,", ",yes,", r"Line 2 of .*train\.csv has Atelectasis 'yes', but it must be one of -1, 0, 1, or empty"),
        (",-1.0,", ",-2,", r"Line 3 of .*train\.csv has Atelectasis '-2', but it must be one of -1, 0, 1"),
        (
            "/train/patient00003/study1/view1",
            "/train/../patient00003/study1/view1",
            r"Line 8 of .*train\.csv has the path .*must look like",
        ),
        (
            "CheXpert-v1.0-small/train/patient00003/study1/view1_frontal",
            "/etc/passwd",
            "Line 8 of .* has the path '/etc/passwd",
        ),
        ("/train/patient00003", "/valid/patient00003", "The table of the train part in .* names valid/patient00003"),
        ("Pleural Effusion", "Effusion", r"train\.csv lacks the column Pleural Effusion\. Columns found: Path, Sex"),
    ],
)
def test_chexpert_refuses_odd_tables(root, old, new, message):
    edit(root / "train.csv", old, new)
    with pytest.raises(DataError, match=message):
        read("chexpert", root)


def test_chexpert_tells_of_missing_and_unlisted_files(root):
    clean = read("chexpert", root)
    table = root / "train.csv"
    table.write_bytes(("\ufeff" + table.read_text().replace("\n", "\r\n")).encode())
    assert read("chexpert", root).fingerprint() == clean.fingerprint()
    (root / "train/patient00001/study1/view1_frontal.jpg").unlink()
    write_image(root / "train/patient99999/study1/view1_frontal.jpg")
    notes = read("chexpert", root).notes
    assert "1 of 40 images are not on disk; they were left out." in notes
    assert "1 image file on disk is not in the label table and was left out." in notes
    (root / "valid.csv").unlink()
    told = r"holds neither valid\.csv nor CheXpert-v1\.0-small/valid\.csv\. .*Now it holds 2 folders and 1 file\."
    with pytest.raises(DataError, match=told):
        read("chexpert", root)


def test_chexpert_inspect_names_what_is_there_and_missing(tmp_path, root):
    inspect = DATASETS["chexpert"].inspect
    parts = {part.title: part for part in inspect(root, ChexpertOptions())}
    assert parts["train.csv"].detail == "about 36 rows"
    assert parts["train/"].detail == "12 patients' folders"
    assert [part.title for part in parts.values() if part.is_needed and not part.is_there] == []
    missing = [part for part in parts.values() if not part.is_there]
    assert [part.title for part in missing] == ["test_labels.csv, test.csv or groundtruth.csv", "test/"]
    assert missing[1].detail == "test images; without it the official valid set is tested"
    empty = inspect(tmp_path / "nowhere", ChexpertOptions(test_set="official"))
    assert [(part.is_there, part.is_needed) for part in empty] == [(False, True)] * 6
