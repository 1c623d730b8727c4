"""Reading HAM10000 as Kaggle and Dataverse distribute it, with the test set of ISIC 2018 and the masks."""

import numpy as np
import pandas as pd
import pytest
from class_files import edit, find_parts, ham_rows, make_ham, read, save, save_mask, write_ham

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.ham10000 import LABELS
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.errors import DataError
from medpeft_core.explain.marks import find_marks

TEST_NAME = "ISIC2018_Task3_Test_GroundTruth"


def write_test_set(root, *, form="dataverse"):
    """Six official test images; as in the real one, the table has a row more than there are images."""
    rows = [
        [f"HAMTEST_{number:07d}", f"ISIC_{34524 + number:07d}", ("nv", "mel")[number % 2], "histo", "45.0", "female",
         "back", "rosendahl"]
        for number in range(6)
    ]  # fmt: skip
    for number, row in enumerate(rows):
        save(root / f"ISIC2018_Task3_Test_Images/{row[1]}.jpg", seed=500 + number)
    rows.append(["HAMTEST_0000099", "ISIC_0035068", "nv", "histo", "45.0", "female", "back", "rosendahl"])
    if form == "dataverse":
        write_ham(root / f"{TEST_NAME}.tab", rows, delimiter="\t")
        return
    codes = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    hot = [[row[1], *(str(float(code == row[2].upper())) for code in codes)] for row in rows]
    (root / TEST_NAME).mkdir()
    write_ham(root / TEST_NAME / f"{TEST_NAME}.csv", hot, header=["image", *codes])


def test_ham_reads_images_lesions_and_people(tmp_path):
    manifest = read("ham10000", make_ham(tmp_path / "ham"))
    assert (manifest.labels, manifest.task, len(manifest)) == (LABELS, "multiclass", 56)
    assert manifest.targets().sum(axis=0).tolist() == [8] * 7
    row = manifest.table.set_index("image").loc["HAM10000_images_part_1/ISIC_0024315.jpg"]
    assert (row["patient_id"], row["sex"], row["site"], row["Melanoma"]) == ("HAM_0000004", "F", "vidir_modern", 1.0)
    assert manifest.table["age"].isna().sum() == 2
    assert manifest.table["age"].max() == 80
    assert manifest.table["sex"].isna().sum() == 18
    assert all(path.is_file() for path in manifest.paths())


def test_ham_keeps_the_images_of_a_lesion_together(tmp_path):
    manifest = read("ham10000", make_ham(tmp_path / "ham"), seed=3)
    assert set(manifest.table["split"]) == {"train", "val", "test"}
    assert not find_patient_overlap(manifest.table)
    assert any("patient_id is the lesion (lesion_id)" in note for note in manifest.notes)


def test_ham_reads_dataverse_and_kaggle_alike(tmp_path):
    """Dataverse's table has tabs, quotes and no ending; Kaggle's has no sources, and all images twice."""
    root = make_ham(tmp_path / "ham")
    usual = read("ham10000", root).table
    (root / "HAM10000_metadata.csv").unlink()
    write_ham(root / "HAM10000_metadata", ham_rows(), delimiter="\t")
    pd.testing.assert_frame_equal(read("ham10000", root).table, usual)
    (root / "HAM10000_metadata").rename(root / "HAM10000_metadata.tab")
    pd.testing.assert_frame_equal(read("ham10000", root).table, usual)
    (root / "HAM10000_metadata.tab").unlink()
    write_ham(root / "HAM10000_metadata.csv", [row[:7] for row in ham_rows()],
              header=["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"])  # fmt: skip
    for part in (1, 2):
        (root / f"HAM10000_images_part_{part}").rename(root / f"ham10000_images_part_{part}")
        save(root / f"HAM10000_images_part_{part}/ISIC_0024306.jpg")
    kaggle = read("ham10000", root)
    assert len(kaggle) == 56
    assert "site" not in kaggle.table


def test_ham_finds_images_in_one_folder_and_below_it(tmp_path):
    root = make_ham(tmp_path / "ham", 14)
    (root / "HAM10000_images_part_1").rename(root / "inner")
    (root / "HAM10000_images_part_2/HAM10000_images_part_2").mkdir()
    for path in sorted((root / "HAM10000_images_part_2").glob("*.jpg")):
        path.rename(path.parent / "HAM10000_images_part_2" / path.name)
    for path in sorted((root / "inner").iterdir()):
        path.rename(root / path.name)
    assert len(read("ham10000", root)) == 28


@pytest.mark.parametrize("form", ["dataverse", "isic"])
def test_ham_tests_on_the_official_images(tmp_path, form):
    root = make_ham(tmp_path / "ham")
    write_test_set(root, form=form)
    manifest = read("ham10000", root)
    tested = manifest.split("test")
    assert len(tested) == 6
    assert tested.targets()[:, LABELS.index("Melanoma")].sum() == 3
    assert tested.table["image"].str.startswith("ISIC2018_Task3_Test_Images/").all()
    assert len(manifest.split("train")) + len(manifest.split("val")) == 56
    assert "1 of 63 images are not on disk; they were left out." in manifest.notes
    assert (tested.table["sex"] == "F").all() == (form == "dataverse")
    assert len(read("ham10000", root, test_set="split")) == 56


def test_ham_says_what_the_official_test_needs(tmp_path):
    root = make_ham(tmp_path / "ham", 14)
    with pytest.raises(DataError, match=r"lacks ISIC2018_Task3_Test_GroundTruth\.csv .*--set data\.test_set=split"):
        read("ham10000", root, test_set="isic2018")
    write_test_set(root, form="isic")
    edit(root / TEST_NAME / f"{TEST_NAME}.csv", "ISIC_0034525,1.0,0.0", "ISIC_0034525,1.0,1.0")
    with pytest.raises(DataError, match="Line 3 of .* must have a 1 for one of AKIEC, BCC, BKL, DF, MEL, NV, VASC"):
        read("ham10000", root)


def test_ham_tells_malignant_from_benign(tmp_path):
    manifest = read("ham10000", make_ham(tmp_path / "ham"), task="malignant")
    assert (manifest.labels, manifest.task) == (("Malignant",), "multilabel")
    assert manifest.targets().sum() == 24
    assert not set(LABELS) & set(manifest.table.columns)


def test_ham_prepares_with_masks_as_marks(tmp_path):
    root = make_ham(tmp_path / "ham")
    folder = root / "HAM10000_segmentations_lesion_tschandl"
    save_mask(folder / "ISIC_0024314_segmentation.png", slice(3, 5))
    prepared = prepare_dataset(DataConfig(dataset="ham10000", root=str(root), cache_size=16))
    assert prepared.cache.num_images == 56
    image = "HAM10000_images_part_1/ISIC_0024314.jpg"
    mark = find_marks(prepared.manifest, image, (20, 20))[0]
    assert (mark.label, mark.kind, np.flatnonzero(mark.inside.any(axis=1)).tolist()) == ("Melanoma", "mask", [3, 4])
    assert find_marks(prepared.manifest, "HAM10000_images_part_1/ISIC_0024315.jpg", (20, 20)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ISIC_0024308,bcc", "ISIC_0024308,wart", r"Line 4 of .* has dx 'wart'\. Known: akiec, bcc, bkl, df, mel, nv"),
        ("ISIC_0024308,bcc", "ISIC_0024306,bcc", "Lines 2 and 4 of .* disagree on dx of 'ISIC_0024306': 'akiec' and"),
        ("HAM_0000001,ISIC_0024308", ",ISIC_0024308", r"Line 4 of .* names no lesion \(lesion_id\)"),
        ("lesion_id,", "lesion,", "lacks the column lesion_id"),
    ],
)
def test_ham_refuses_odd_rows_with_their_line(tmp_path, old, new, message):
    root = make_ham(tmp_path / "ham", 14)
    edit(root / "HAM10000_metadata.csv", old, new)
    with pytest.raises(DataError, match=message):
        read("ham10000", root)


def test_ham_tells_of_repeated_rows_and_strange_files(tmp_path):
    root = make_ham(tmp_path / "ham", 14)
    path = root / "HAM10000_metadata.csv"
    lines = path.read_text().splitlines()
    lines += [lines[1], lines[2].replace("ISIC_0024307", "../HAM10000_images_part_1/ISIC_0024307")]
    path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    save(root / "HAM10000_images_part_1/holiday (1).jpg")
    manifest = read("ham10000", root)
    assert len(manifest) == 28
    assert "Rows of the label table that repeat an image (1) were left out." in manifest.notes
    assert "1 of 29 images are not on disk; they were left out." in manifest.notes
    assert "1 image file on disk is not in the label table and was left out." in manifest.notes


def test_ham_inspects_its_folder(tmp_path):
    assert find_parts("ham10000", tmp_path / "nowhere") == {}
    root = make_ham(tmp_path / "ham", 14)
    parts = find_parts("ham10000", root)
    assert parts == {
        "HAM10000_metadata.csv": "diagnoses, lesions, age and sex",
        "HAM10000_images_part_1 and _part_2": "28 of 10,015 images",
    }
    write_test_set(root)
    assert f"{TEST_NAME}.tab" in find_parts("ham10000", root)
    spec = DATASETS["ham10000"]
    needed = [part.title for part in spec.inspect(tmp_path, spec.options(test_set="isic2018")) if part.is_needed]
    assert len(needed) == 4
