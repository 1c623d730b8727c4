"""Reading BUSI: classes from folders, several masks of one image, and what its names and duplicates bring."""

import json
import shutil

import numpy as np
import pytest
from class_files import find_parts, make_busi, read, save, save_mask

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.masks import list_masks, write_masks
from medpeft_core.datasets.prepare import inspect_dataset, prepare_dataset
from medpeft_core.datasets.splits import UNCHECKED_NOTE
from medpeft_core.errors import DataError
from medpeft_core.explain.marks import find_marks

INNER = "Dataset_BUSI_with_GT"


def find_rows(mark):
    """Rows of the image that a mark covers."""
    return np.flatnonzero(mark.inside.any(axis=1)).tolist()


def test_busi_reads_classes_from_folders(tmp_path):
    manifest = read("busi", make_busi(tmp_path / "busi"))
    assert (manifest.labels, manifest.task) == (("Benign", "Malignant", "Normal"), "multiclass")
    assert manifest.targets().sum(axis=0).tolist() == [12, 10, 10]
    assert f"{INNER}/benign/benign (12).png" in set(manifest.table["image"])
    assert not manifest.table["image"].str.contains("_mask").any()
    assert not manifest.has_patients
    assert any("many images of one lesion" in note for note in manifest.notes)
    assert set(manifest.table["split"]) == {"train", "val", "test"}


def test_busi_merges_the_masks_of_an_image(tmp_path):
    """A second lesion was lost: the manifest held the first mask only."""
    root = make_busi(tmp_path / "busi")
    manifest = read("busi", root)
    masks = manifest.table.set_index("image")["mask"]
    stem = f"{INNER}/benign/benign (1)"
    assert json.loads(masks[f"{stem}.png"]) == [f"{stem}_mask.png", f"{stem}_mask_1.png", f"{stem}_mask_2.png"]
    assert masks[f"{INNER}/benign/benign (2).png"] == f"{INNER}/benign/benign (2)_mask.png"
    assert masks[masks.index.str.contains("normal")].isna().all()
    mark = find_marks(manifest, f"{stem}.png", (20, 20))[0]
    assert (mark.label, mark.kind, find_rows(mark)) == ("Benign", "mask", [0, 1, 2, 3, 6, 7, 18, 19])
    assert find_marks(manifest, f"{INNER}/normal/normal (1).png", (20, 20)) == []
    (root / f"{stem}_mask_1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"The mask .*benign \(1\)_mask_1\.png cannot be read"):
        find_marks(manifest, f"{stem}.png", (20, 20))


@pytest.mark.parametrize("paths", [[], ["a b.png"], ["[1].png"], ["[x", "y,z.png"], ["[]", "b.png"]])
def test_masks_are_listed_as_they_were_written(paths):
    assert list_masks(write_masks(paths)) == paths


def test_masks_that_are_missing_or_begin_with_a_bracket_are_no_list():
    assert list_masks(float("nan")) == list_masks(None) == list_masks("") == []
    assert list_masks("[1]") == ["[1]"]


def test_busi_leaves_out_normal_images_by_wish(tmp_path):
    root = make_busi(tmp_path / "busi")
    shutil.rmtree(root / INNER / "normal")
    manifest = read("busi", root, normal="leave_out")
    assert manifest.labels == ("Benign", "Malignant")
    assert len(manifest) == 22
    with pytest.raises(DataError, match=r"holds no folder normal\. It should hold the folders benign, malignant and"):
        read("busi", root)


def test_busi_takes_the_inner_folder_and_other_spellings(tmp_path):
    root = make_busi(tmp_path / "busi") / INNER
    (root / "benign").rename(root / "Benign")
    manifest = read("busi", root)
    assert len(manifest) == 32
    assert "Benign/benign (3).png" in set(manifest.table["image"])


def test_busi_tells_of_masks_and_images_without_each_other(tmp_path):
    root = make_busi(tmp_path / "busi")
    (root / INNER / "malignant/malignant (2).png").unlink()
    (root / INNER / "malignant/malignant (3)_mask.png").unlink()
    notes = read("busi", root).notes
    assert "No mask was found for 1 of 21 lesions." in notes
    assert "Masks without an image (1) were left out." in notes


def test_busi_refuses_a_class_without_images_and_an_empty_folder(tmp_path):
    root = make_busi(tmp_path / "busi", (2, 2, 0))
    (root / INNER / "normal").mkdir()
    with pytest.raises(DataError, match=r"normal holds no images\. It should hold"):
        read("busi", root)
    with pytest.raises(DataError, match="holds no folder benign and no folder malignant and no folder normal"):
        read("busi", tmp_path)


def test_busi_prepares_as_grey_and_names_identical_images(tmp_path):
    root = make_busi(tmp_path / "busi")
    twin = save(root / INNER / "malignant/malignant (11).png", seed=900, colour=False)
    shutil.copy(twin, root / INNER / "benign/benign (13).png")
    save_mask(root / INNER / "malignant/malignant (11)_mask.png", slice(2, 3))
    data = DataConfig(dataset="busi", root=str(root), cache_size=16)
    report = inspect_dataset(data)
    groups = report.duplicates["num_groups_across"] + report.duplicates["num_groups_within"]
    assert groups == 1
    prepared = prepare_dataset(data)
    assert prepared.cache.get(0).shape[0] == 1
    assert UNCHECKED_NOTE in prepared.manifest.notes


def test_busi_inspects_its_folder(tmp_path):
    assert find_parts("busi", tmp_path / "nowhere") == {}
    parts = find_parts("busi", make_busi(tmp_path / "busi"))
    assert parts["benign/"] == "12 of 437 images; 14 masks"
    spec = DATASETS["busi"]
    needed = [part.title for part in spec.inspect(tmp_path, spec.options(normal="leave_out")) if part.is_needed]
    assert needed == ["benign/", "malignant/"]
