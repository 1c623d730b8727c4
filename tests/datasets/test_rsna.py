"""Reading the label table, the boxes, the patients and the tags of RSNA's challenge in the layout of Kaggle."""

import json
from pathlib import Path

import pandas as pd
import pytest
from class_files import (
    edit,
    find_parts,
    make_rsna,
    read,
    rsna_id,
    save,
    save_dicom,
    write_rsna_lists,
    write_rsna_patients,
)

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.rsna_splits import split_by_lists, split_sorted
from medpeft_core.datasets.rsna_tables import LABEL, read_labels
from medpeft_core.datasets.split_policy import apply_split
from medpeft_core.datasets.splits import UNCHECKED_NOTE, find_patient_overlap
from medpeft_core.errors import DataError

LABEL_TABLE = "stage_2_train_labels.csv"


def test_rsna_joins_the_rows_of_an_image(tmp_path):
    manifest = read("rsna", make_rsna(tmp_path / "rsna"))
    assert (len(manifest), manifest.labels, manifest.task) == (40, ("Pneumonia",), "multilabel")
    table = manifest.table.set_index("image")
    assert table[LABEL].sum() == 10
    two, one = (json.loads(table["boxes"][f"stage_2_train_images/{rsna_id(number)}.dcm"]) for number in (8, 4))
    assert two == [
        {"label": "Pneumonia", "x": 264.0, "y": 152.0, "width": 213.0, "height": 379.0},
        {"label": "Pneumonia", "x": 562.0, "y": 152.0, "width": 256.0, "height": 453.0},
    ]
    assert len(one) == 1
    assert table["boxes"].notna().sum() == 10
    assert set(table["split"]) == {"train", "val", "test"}
    assert "Images without pneumonia by their class: 20 'No Lung Opacity / Not Normal', 10 'Normal'." in manifest.notes


def test_rsna_calls_no_exam_a_patient(tmp_path):
    """patientId differs for two films of one patient, so a split by it only looks as if it were by patient."""
    root = make_rsna(tmp_path / "rsna")
    manifest = read("rsna", root)
    assert not manifest.has_patients
    assert any("Put it into the folder to split by patient" in note for note in manifest.notes)
    write_rsna_patients(root, {rsna_id(number): f"{number // 4:08d}" for number in range(39)})
    manifest = read("rsna", root)
    assert manifest.table["patient_id"].nunique() == 11
    assert not find_patient_overlap(manifest.table)
    assert any(note.endswith("does not name (1) count as a patient each.") for note in manifest.notes)


def test_rsna_papers_lists_give_splits_and_labels(tmp_path):
    root = make_rsna(tmp_path / "rsna", num_test=6)
    labels = [(rsna_id(number), int(number % 4 == 0)) for number in range(40)]
    tested = [(rsna_id(100_000 + number), number % 2) for number in range(5)]
    assert any("The images of stage_2_test_images (6) have no labels" in note for note in read("rsna", root).notes)
    write_rsna_lists(
        root / "lists",
        {"train_list": [*labels[:29], (rsna_id(29), 1)], "train_10": labels[:8], "val_list": labels[32:],
         "test_list": tested},
    )  # fmt: skip
    manifest = read("rsna", root)
    counts = manifest.table["split"].value_counts()
    assert (counts["train"], counts["val"], counts["test"]) == (30, 8, 5)
    assert manifest.split("test").table["image"].str.startswith("stage_2_test_images/").all()
    assert manifest.split("test").targets().sum() == 2
    notes = " ".join(manifest.notes)
    assert "As the reader splits them, pneumonia is seen in 30.0% of train, 25.0% of val, 40.0% of test." in notes
    assert "for equal shares split anew with --set data.split=stratified" in notes
    assert "Lists and table differ in the labels of 1 of 43 images; the lists win." in notes
    assert "Images of the label table that no list names (2) were left out." in notes
    tenth = read("rsna", root, lists="papers_10")
    assert len(tenth.split("train")) == 8
    assert not any("not in the label table" in note for note in tenth.notes)
    assert len(read("rsna", root, lists="none")) == 40
    with pytest.raises(DataError, match=r"lacks train_1\.txt.* but data\.lists=papers_1 needs them"):
        read("rsna", root, lists="papers_1")
    (root / "lists/val_list.txt").unlink()
    with pytest.raises(DataError, match=r"lacks val_list\.txt .*--set data\.lists=none"):
        read("rsna", root)


def test_rsna_sorted_split_has_the_papers_sizes(tmp_path):
    """On a table of the real size: 25,184, 1,500 and 3,000 images, val the end of the names."""
    lines = ["patientId,x,y,width,height,Target", *(f"{rsna_id(number)},,,,,0" for number in range(26684))]
    path = tmp_path / LABEL_TABLE
    path.write_text("\n".join(lines[:1] + lines[:0:-1]))
    entries = read_labels(path)
    notes: list[str] = []
    drawn = split_sorted(tmp_path, entries, 0, notes).set_index("key")["split"]
    assert drawn.value_counts().to_dict() == {"train": 22487, "test": 2697, "val": 1500}
    assert (drawn.sort_index().iloc[-1500:] == "val").all()
    write_rsna_lists(tmp_path, {"test_list": [(rsna_id(100_000 + number), number % 2) for number in range(3000)]})
    whole = split_sorted(tmp_path, entries, 0, notes)
    assert whole["split"].value_counts().to_dict() == {"train": 25184, "test": 3000, "val": 1500}
    assert whole.loc[whole["split"] == "test", LABEL].sum() == 1500
    listed = split_by_lists(entries, {"test": tmp_path / "test_list.txt"}, notes)
    assert len(listed) == 3000


def test_rsna_stratified_split_evens_out_what_sorted_lists_shift(tmp_path):
    """In the papers' lists val holds fewer positive images than train, and test more."""
    root = make_rsna(tmp_path / "rsna", 120)
    labels = [(rsna_id(number), int(number % 4 == 0)) for number in range(120)]
    ordered = sorted(labels, key=lambda row: row[1])
    write_rsna_lists(root, {"val_list": ordered[:12], "train_list": ordered[12:96]})
    write_rsna_lists(root, {"test_list": ordered[96:]})
    edit(root / "test_list.txt", "stage_2_test_images", "stage_2_train_images")
    given = read("rsna", root)
    rates = [given.split(name).targets().mean() for name in ("train", "val", "test")]
    assert rates == pytest.approx([6 / 84, 0, 1])
    even = apply_split(given, DataConfig(dataset="rsna", split="stratified"))
    assert [even.split(name).targets().mean() for name in ("train", "val", "test")] == pytest.approx(
        [0.25] * 3, abs=0.01
    )


def test_rsna_sorted_split_does_not_depend_on_the_files_that_are_there(tmp_path):
    root = make_rsna(tmp_path / "rsna", 60)
    whole = read("rsna", root, lists="sorted").table.set_index("image")["split"]
    for path in sorted((root / "stage_2_train_images").iterdir())[::2]:
        path.unlink()
    half = read("rsna", root, lists="sorted")
    assert half.table.set_index("image")["split"].equals(whole.iloc[1::2])
    assert "30 of 60 images are not on disk; they were left out." in half.notes


def test_rsna_reads_tags_by_wish_and_decodes_dicom(tmp_path):
    root = make_rsna(tmp_path / "rsna", 12)
    for number, path in enumerate(sorted((root / "stage_2_train_images").iterdir())):
        save_dicom(path, age=str(40 + number), sex="MF"[number % 2], view=("PA", "AP")[number % 2])
    told: list[tuple] = []
    spec = DATASETS["rsna"]
    manifest = spec.read_manifest(root, spec.options(tags=True), split_seed=0, progress=lambda *step: told.append(step))
    assert manifest.table["age"].tolist() == list(range(40, 52))
    assert manifest.table["sex"].tolist() == ["M", "F"] * 6
    assert manifest.table["view"].tolist() == ["PA", "AP"] * 6
    assert ("reading DICOM tags", 0, 12) in told
    save(root / "converted" / f"{rsna_id(0)}.png")
    again = read("rsna", root).table
    assert again["image"].str.endswith(".dcm").all()
    assert "age" not in again
    prepared = prepare_dataset(DataConfig(dataset="rsna", root=str(root), cache_size=16))
    assert prepared.cache.num_images == 12
    assert UNCHECKED_NOTE in prepared.manifest.notes


def test_rsna_scales_boxes_of_converted_images(tmp_path):
    root = make_rsna(tmp_path / "rsna", 12)
    for path in (root / "stage_2_train_images").iterdir():
        path.unlink()
    for number in range(12):
        save(root / f"train png/{rsna_id(number)}.png", side=256, seed=number)
        save(root / f"Masks/{rsna_id(number)}.png", side=256)
    manifest = read("rsna", root, tags=True)
    assert manifest.table["image"].str.startswith("train png/").all()
    box = json.loads(manifest.table.set_index("image")["boxes"][f"train png/{rsna_id(4)}.png"])[0]
    assert box == {"label": "Pneumonia", "x": 66.0, "y": 38.0, "width": 53.25, "height": 94.75}
    assert "Age, sex and view are not known for 12 images without DICOM tags." in manifest.notes


def test_rsna_tolerates_the_oddities_of_spreadsheets(tmp_path):
    root = make_rsna(tmp_path / "rsna")
    clean = read("rsna", root)
    path = root / LABEL_TABLE
    path.write_bytes(("\ufeff" + path.read_text().replace("\n", "\r\n") + "\r\n").encode())
    pd.testing.assert_frame_equal(read("rsna", root).table, clean.table)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",,,,,0\n", ",,,,,2\n", r"Line 4 of .* has Target '2', but it must be one of 0, 1"),
        (",,,,,0\n", ",,,,,\n", r"Line 4 of .* has no Target"),
        (",,,,,0\n", ",1,2,3,4,0\n", r"Line 4 of .* has a box, but its Target is 0"),
        ("264.0,152.0,213.0,379.0,1", "264.0,152.0,,379.0,1", "Line 2 of .* must have all of x, y, width and height"),
        ("264.0,152.0,213.0,379.0,1", "264.0,152.0,0,379.0,1", "Line 2 of .* has a box without an area"),
        ("patientId,x", "patient,x", r"lacks the column patientId\. Columns found: patient, x, y"),
        (f"{rsna_id(1)},,,,,0", f"{rsna_id(0)},,,,,0", rf"Lines 2 and 4 of .* disagree on Target of '{rsna_id(0)}'"),
    ],
)  # fmt: skip
def test_rsna_refuses_odd_rows_with_their_line(tmp_path, old, new, message):
    root = make_rsna(tmp_path / "rsna")
    edit(root / LABEL_TABLE, old, new)
    with pytest.raises(DataError, match=message):
        read("rsna", root)


def test_rsna_tells_of_files_without_a_row_and_of_contradicting_classes(tmp_path):
    root = make_rsna(tmp_path / "rsna")
    save(root / "stage_2_train_images/stranger.png")
    edit(root / "stage_2_detailed_class_info.csv", f"{rsna_id(1)},Normal", f"{rsna_id(1)},Lung Opacity")
    edit(root / LABEL_TABLE, f"{rsna_id(2)},", f"../../{rsna_id(2)},")
    notes = read("rsna", root).notes
    assert "2 image files on disk are not in the label table and were left out." in notes
    assert "1 of 40 images are not on disk; they were left out." in notes
    assert "stage_2_detailed_class_info.csv contradicts the labels of 1 images; the labels were used." in notes


def test_rsna_refuses_a_broken_map_and_an_empty_folder(tmp_path):
    root = make_rsna(tmp_path / "rsna")
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text('[{"img_id": "1_000.png"}]')
    with pytest.raises(DataError, match="is not the map of RSNA's challenge: .*subset_img_id"):
        read("rsna", root)
    with pytest.raises(DataError, match=r"rsna holds one: give that folder"):
        read("rsna", root / "stage_2_train_images")
    (root / LABEL_TABLE).unlink()
    with pytest.raises(DataError, match=r"holds no stage_2_train_labels\.csv\. It should hold stage_2_train_labels"):
        read("rsna", root)


def test_rsna_inspects_its_folder(tmp_path):
    assert find_parts("rsna", tmp_path / "nowhere") == {}
    root = make_rsna(tmp_path / "rsna", num_test=2)
    parts = find_parts("rsna", root)
    assert parts["stage_2_train_images"] == "40 of 26,684 images"
    assert parts["stage_2_test_images"].startswith("2 of 3,000 images; labelled in the papers'")
    assert [part.title for part in DATASETS["rsna"].inspect(Path("/nowhere"), DATASETS["rsna"].options())
            if part.is_needed] == [LABEL_TABLE, "stage_2_train_images"]  # fmt: skip
    papers = DATASETS["rsna"].options(lists="papers_1")
    lists = next(part for part in DATASETS["rsna"].inspect(root, papers) if part.title.startswith("train_1.txt"))
    assert lists.is_needed
    assert not lists.is_there
