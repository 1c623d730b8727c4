"""Reading VinDr-CXR: three radiologists a training film, a consensus a test film, boxes in DICOM's pixels or scaled."""

import json

import numpy as np
import pytest
from chest_files import edit, read, write_image
from more_chest_files import VINDR_LABELS, make_vindr, vindr_id, write_table

from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.vindr_cxr import LABELS, VindrOptions
from medpeft_core.errors import DataError


@pytest.fixture
def root(tmp_path):
    return make_vindr(tmp_path / "vindr")


def names_with(manifest, split):
    part = manifest.split(split)
    return [label for label, count in zip(part.labels, part.targets().sum(axis=0), strict=True) if count == len(part)]


@pytest.mark.parametrize(
    ("readers", "seen"),
    [
        ("majority", ["Cardiomegaly", "Pneumonia"]), ("any", ["Cardiomegaly", "Edema", "Pneumonia"]),
        ("all", ["Cardiomegaly"]),
    ],
)  # fmt: skip
def test_vindr_makes_one_label_of_three_radiologists(root, readers, seen):
    manifest = read("vindr_cxr", root, readers=readers)
    assert ",".join(manifest.labels) == VINDR_LABELS
    assert names_with(manifest, "train") == names_with(manifest, "val") == seen
    assert manifest.targets()[manifest.table["split"] != "test"].sum() == 20 * len(seen)
    assert names_with(manifest, "test") == ["Aortic enlargement", "Other diseases"]


def test_vindr_keeps_the_test_set_and_says_how_val_came(root):
    manifest = read("vindr_cxr", root)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 18, "test": 4, "val": 2}
    assert manifest.split("test").table["image"].str.startswith("test/").all()
    assert manifest.table["patient_id"].isna().all()
    assert "Official test set; val is a tenth of the official training images, at random, seed 0." in manifest.notes
    assert read("vindr_cxr", root, seed=3).fingerprint() != manifest.fingerprint()
    assert read("vindr_cxr", root, labels="findings").labels == LABELS[:22]
    assert read("vindr_cxr", root, labels="diseases").labels == LABELS[22:]


def test_vindr_keeps_boxes_of_all_radiologists(root):
    boxes = read("vindr_cxr", root).table.set_index("image")["boxes"]
    assert json.loads(boxes[f"train/{vindr_id(3)}.dicom"]) == [
        {"label": "Cardiomegaly", "x": 10, "y": 20, "width": width, "height": 40} for width in (32, 32, 33)
    ]
    assert json.loads(boxes[f"test/{vindr_id(900)}.dicom"]) == [
        {"label": "Aortic enlargement", "x": 1.5, "y": 2, "width": 1.5, "height": 2}
    ]
    assert "boxes" not in read("vindr_cxr", root, labels="diseases").table
    edit(root / "annotations_train.csv", "R8,Cardiomegaly,10.0,20.0,42.0", "R8,Cardiomegaly,50.0,20.0,42.0")
    with pytest.raises(DataError, match=r"Line 2 of .*annotations_train\.csv has no box: 50\.0, 20\.0, 42\.0, 60\.0"):
        read("vindr_cxr", root)


def test_vindr_scales_boxes_of_converted_images_or_leaves_them_out(tmp_path):
    """A PNG of 16 pixels does not tell where the box of a film of 160 pixels lies."""
    root = make_vindr(tmp_path / "png", ending=".png", tables="annotations")
    manifest = read("vindr_cxr", root)
    assert "boxes" not in manifest.table
    assert any("24 images are not DICOM" in note for note in manifest.notes)
    write_table(
        root / "train_meta.csv", ["image_id,dim0,dim1", *(f"{vindr_id(number)},200,160" for number in range(20))]
    )
    boxes = read("vindr_cxr", root).table.set_index("image")["boxes"]
    assert boxes.notna().sum() == 20
    assert json.loads(boxes[f"train/{vindr_id(0)}.png"])[0] == {
        "label": "Cardiomegaly", "x": 1, "y": 2, "width": 3.2, "height": 4,
    }  # fmt: skip


def test_vindr_reads_the_challenge_of_kaggle(tmp_path):
    root = tmp_path / "kaggle"
    lines = ["image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"]
    for number in range(20):
        write_image(root / f"train/{vindr_id(number)}.dicom")
        lines += [
            f"{vindr_id(number)},Cardiomegaly,3,R8,10,20,30,40", f"{vindr_id(number)},Cardiomegaly,3,R8,11,20,30,40",
            f"{vindr_id(number)},Cardiomegaly,3,R9,10,20,30,40", f"{vindr_id(number)},No finding,14,R10,,,,",
        ]  # fmt: skip
    write_table(root / "train.csv", lines)
    manifest = read("vindr_cxr", root)
    assert len(manifest.labels) == 15
    assert names_with(manifest, "train") == ["Cardiomegaly"]
    assert manifest.targets().sum() == 20
    assert manifest.table["split"].value_counts().to_dict() == {"train": 14, "test": 4, "val": 2}
    assert any("official test labels are not in the folder" in note for note in manifest.notes)
    assert len(json.loads(manifest.table["boxes"].iloc[0])) == 3
    edit(root / "train.csv", "No finding,14", "Nothing,14")
    with pytest.raises(DataError, match=r"Line 5 of .*train\.csv has the unknown class 'Nothing'"):
        read("vindr_cxr", root)


def test_vindr_reads_a_part_and_tells_what_is_missing(root):
    for number in range(5, 20):
        (root / f"train/{vindr_id(number)}.dicom").unlink()
    write_image(root / "train/other.dicom")
    notes = read("vindr_cxr", root).notes
    assert "15 of 24 images are not on disk; they were left out." in notes
    assert "1 image file on disk is not in the label table and was left out." in notes
    (root / "annotations_test.csv").unlink()
    parts = {part.title: part for part in DATASETS["vindr_cxr"].inspect(root, VindrOptions())}
    assert (parts["train/"].detail, parts["test/"].detail) == ("6 of 15,000 images", "4 of 3,000 images")
    assert [part.title for part in parts.values() if not part.is_there] == ["annotations_test.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ",R9,0",
            ",R9,-1",
            r"Line 3 of .*image_labels_train\.csv has Aortic enlargement '-1', but it must be one of 0, 1",
        ),
        (",R9,", ",R8,", rf"Line 3 of .* repeats R8 of {vindr_id(0)}"),
        ("Edema", "Oedema", r"image_labels_train\.csv lacks the column Edema"),
        (vindr_id(3), vindr_id(900), f"The image {vindr_id(900)} is in both label tables"),
    ],
)
def test_vindr_refuses_odd_tables(root, old, new, message):
    edit(root / "image_labels_train.csv", old, new)
    with pytest.raises(DataError, match=message):
        read("vindr_cxr", root)


def test_vindr_prefers_the_dicom_file(root):
    write_image(root / f"train/{vindr_id(0)}.png")
    manifest = read("vindr_cxr", root)
    assert len(manifest) == 24
    assert manifest.table["image"].str.endswith(".dicom").all()
    assert np.isfinite(manifest.targets()).all()
