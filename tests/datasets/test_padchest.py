"""Reading PadChest: lists of findings without eval, films by projection and date, damaged files, any folder layout."""

import numpy as np
import pytest
from chest_files import edit, read, write_image
from more_chest_files import PADCHEST_TABLE, make_padchest, padchest_name, padchest_row
from PIL import Image

from medpeft_core.datasets.images import read_image
from medpeft_core.datasets.padchest import LABELS, PadchestOptions
from medpeft_core.datasets.padchest_table import DAMAGED
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.splits import find_patient_overlap, is_doubt
from medpeft_core.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return make_padchest(tmp_path / "padchest")


def add_film(root, name, **cells):
    table = root / PADCHEST_TABLE
    table.write_text(table.read_text() + padchest_row(name, **cells) + "\n")
    write_image(root / name)


def test_padchest_reads_findings_people_and_dates(root):
    manifest = read("padchest", root)
    assert manifest.labels == LABELS
    assert len(manifest) == 10
    rows = manifest.table.set_index("image")
    first, second = rows.loc[padchest_name(0)], rows.loc[padchest_name(2)]
    assert [label for label in LABELS if first[label]] == ["cardiomegaly", "pleural effusion"]
    assert [label for label in LABELS if second[label]] == ["atelectasis"]
    assert rows.loc[padchest_name(4), list(LABELS)].sum() == 0
    assert (first["patient_id"], first["age"], first["sex"], first["view"]) == ("90000000", 80, "F", "PA")
    assert (first["date"], second["date"]) == ("2010-03-01", "2011-03-01")
    assert not find_patient_overlap(manifest.table)
    assert set(manifest.table["split"]) == {"train", "val", "test"}
    assert "10 of 20 films of the label table are not frontal films (PA or AP); they were left out." in manifest.notes
    assert read("padchest", root, views="all").table["view"].value_counts().to_dict() == {"PA": 10, "LATERAL": 10}


@pytest.mark.parametrize("folder", ["images", "{}", "images/{}"])
def test_padchest_finds_every_layout(tmp_path, folder):
    root = make_padchest(tmp_path / "made", folder=folder, packed=True)
    manifest = read("padchest", root, views="all")
    assert len(manifest) == 20
    assert all(path.is_file() for path in manifest.paths())
    parts = DATASETS["padchest"].inspect(root, PadchestOptions())
    assert [part.is_there for part in parts] == [True, True]
    numbered = "; 2 of 55 numbered folders" if "{}" in folder else ""
    assert parts[1].detail == f"20 of 160,868 images{numbered}"


def test_padchest_counts_terms_for_frequent_labels(root):
    manifest = read("padchest", root, labels="frequent", min_images=3)
    assert manifest.labels == ("cardiomegaly", "pleural effusion", "copd signs", "laminar atelectasis", "normal")
    counts = manifest.targets().sum(axis=0)
    assert counts.tolist() == [4, 4, 3, 3, 3]
    assert read("padchest", root, labels="frequent", min_images=4).labels == ("cardiomegaly", "pleural effusion")
    with pytest.raises(
        DataError, match="No term of PadChest has 50 films here; the most frequent, 'cardiomegaly', has 4"
    ):
        read("padchest", root, labels="frequent", min_images=50)
    with pytest.raises(ConfigError, match="data.min_images is 0"):
        PadchestOptions(min_images=0)


def test_padchest_never_evaluates_a_list_of_labels(root):
    """The labels are written as a Python list; a table from somewhere must not be able to run code."""
    marker = root / "ran"
    add_film(root, "x.png", Labels=f"[__import__('pathlib').Path('{marker}').touch()]")
    with pytest.raises(DataError, match=r"Line 43 of .* has the labels .*but they must be a list such as"):
        read("padchest", root)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['atelectasis',\"nodule\"]", ["atelectasis", "nodule"]),
        ("[ 'Apical pleural thickening ' , 'multiple nodules', ]", ["nodule", "pleural thickening"]),
        ("['pseudonodule', 'subcutaneous emphysema', 'hydropneumothorax']", []),
        ("['nodule', 'nodule']", ["nodule"]),
    ],
)
def test_padchest_reads_lists_as_they_are_written(root, text, found):
    add_film(root, "x.png", Labels=text)
    row = read("padchest", root).table.set_index("image").loc["x.png"]
    assert [label for label in LABELS if row[label]] == found


def test_padchest_leaves_out_what_cannot_be_used_and_says_why(root):
    add_film(root, "blank.png", Labels="")
    add_film(root, "empty.png", Labels="[]")
    add_film(root, "bad.png", Labels="['exclude', 'cardiomegaly']")
    damaged = sorted(DAMAGED)[0]
    add_film(root, damaged, Labels="['cardiomegaly']")
    write_image(root / "unlisted.png")
    manifest = read("padchest", root)
    assert len(manifest) == 10
    for sentence in (
        "1 of 24 films of the label table are missing or damaged in the distribution itself; they were left out.",
        "2 of 24 films of the label table have no labels; they were left out.",
        "1 of 24 films of the label table are marked by the radiologists as to be excluded; they were left out.",
        "1 image file on disk is not in the label table and was left out.",
    ):
        assert sentence in manifest.notes
    assert len(DAMAGED) == 21


def test_padchest_tolerates_odd_cells(root):
    add_film(
        root, "odd.png", PatientBirth="None", StudyDate_DICOM="2014", PatientSex_DICOM="O", Projection="AP_horizontal"
    )
    add_film(root, "old.png", PatientBirth="1012")
    manifest = read("padchest", root)
    row = manifest.table.set_index("image").loc["odd.png"]
    assert row["view"] == "AP SUPINE"
    assert row[["age", "date", "sex"]].isna().all()
    assert np.isnan(manifest.table.set_index("image").loc["old.png", "age"])
    assert any("states an impossible age (up to 1002 years)" in note for note in manifest.notes)
    table = root / PADCHEST_TABLE
    table.write_bytes(("\ufeff" + table.read_text().replace("\n", "\r\n")).encode())
    assert read("padchest", root).fingerprint() == manifest.fingerprint()


def test_padchest_takes_a_film_without_patient_as_one_of_its_own(root):
    """One empty cell among 160,868 refused the whole set."""
    add_film(root, "nobody.png", PatientID="")
    manifest = read("padchest", root)
    assert manifest.has_patients
    assert manifest.table.set_index("image").loc["nobody.png", "patient_id"] == "nobody.png"
    note = next(note for note in manifest.notes if note.startswith("1 of 11 films have no PatientID;"))
    assert is_doubt(note)
    assert "Split by patient, 70/10/20, seed 0; PadChest has no split of its own." in manifest.notes


def test_padchest_keeps_the_range_of_16_bits(root):
    pixels = np.linspace(0, 4095, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(pixels).save(root / padchest_name(0))
    manifest = read("padchest", root)
    path = dict(zip(manifest.table["image"], manifest.paths(), strict=True))[padchest_name(0)]
    decoded = read_image(path).pixels
    np.testing.assert_array_equal(decoded, np.rint(pixels * (255 / 4095)).astype(np.uint8))


def test_padchest_refuses_a_folder_without_table_or_films(tmp_path, root):
    with pytest.raises(
        DataError, match=r"holds neither PADCHEST_.*\.csv\.gz nor PADCHEST_.* holds one: give that folder"
    ):
        read("padchest", tmp_path)
    for path in root.glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="None of the 10 images of the label table is in"):
        read("padchest", root)
    edit(root / PADCHEST_TABLE, "PatientID", "Patient")
    with pytest.raises(DataError, match="lacks the column PatientID"):
        read("padchest", root)
