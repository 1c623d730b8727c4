"""Columns of labels, patients, sexes and splits whose cells could be taken for something else."""

import numpy as np
import pandas as pd
import pytest
from own_files import make_table, read_own, write_images

from medpeft_core.datasets.own.column_facts import ColumnFacts
from medpeft_core.datasets.own.patient_names import is_patient_column
from medpeft_core.datasets.own.propose import propose
from medpeft_core.errors import DataError


def make_rows(root, header, rows, *, images=0):
    """A table with 00.png, 01.png and so on as its first column."""
    lines = [f"{number:02d}.png,{row}" for number, row in enumerate(rows)]
    return make_table(root, "\n".join([f"file,{header}", *lines]), images=images or len(rows))


def test_own_rows_without_any_label_are_no_negatives(tmp_path):
    make_rows(tmp_path / "one", "cancer", ["1", "0", "", "0", "", "1"])
    manifest = read_own("table", tmp_path / "one")
    assert manifest.targets()[:, 0].tolist() == [1, 0, 0, 1]
    told = "2 rows have no label at all; they were left out. If empty cells mean 0, set data.blank=zeros."
    assert told in [item.text for item in propose(tmp_path / "one").findings if item.severity == "warning"]
    assert read_own("table", tmp_path / "one", blank="zeros").targets()[:, 0].tolist() == [1, 0, 0, 0, 0, 1]
    assert np.isnan(read_own("table", tmp_path / "one", blank="ignore").targets()[:, 0]).sum() == 2
    make_rows(tmp_path / "three", "a,b,c", ["1,0,0", "0,1,0", ",,", "0,0,1"])
    manifest = read_own("table", tmp_path / "three")
    assert (manifest.task, len(manifest)) == ("multiclass", 3)
    make_rows(tmp_path / "present", "a,b", ["1,", "1,1", ",", ",1"])
    manifest = read_own("table", tmp_path / "present")
    assert manifest.targets().tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    assert "4 empty label cells count as 0, as no cell says 0 (data.blank)." in manifest.notes


def test_own_grades_of_which_most_are_0_and_1_are_grades(tmp_path):
    """Five grades of which nine in ten were 0 or 1 were refused as 0 and 1 with mistakes."""
    make_rows(tmp_path, "level", ["0"] * 20 + ["1"] * 9 + ["2", "3", "4"])
    manifest = read_own("table", tmp_path)
    assert (manifest.labels, manifest.is_ordered) == (("0", "1", "2", "3", "4"), True)
    assert propose(tmp_path).columns[1].role == "label"
    make_rows(tmp_path, "level", ["0"] * 20 + ["1"] * 11 + ["2"])
    with pytest.raises(DataError, match="has '2' in the label column.*data.label_form=class"):
        read_own("table", tmp_path)
    assert read_own("table", tmp_path, ordered="0,1,2").is_ordered


def test_own_classes_x_and_y_are_no_crosses_and_yes(tmp_path):
    make_rows(tmp_path, "dx", ["x", "y"] * 3)
    assert read_own("table", tmp_path).labels == ("x", "y")
    make_rows(tmp_path, "mass", ["x", ""] * 3)
    assert read_own("table", tmp_path).labels == ("mass",)


def test_own_grades_without_images_keep_their_place(tmp_path):
    make_rows(tmp_path, "grade", ["0", "2", "3"] * 4 + ["1"], images=12)
    manifest = read_own("table", tmp_path)
    assert (manifest.labels, manifest.is_ordered) == (("0", "1", "2", "3"), True)
    assert "No image is left of 1. Grades between others keep their place." in manifest.notes
    make_rows(tmp_path, "grade", ["0", "2", "3"] * 4)
    assert (
        "The classes 0, 2, 3 have a gap; if they are grades, set data.ordered=0,1,2,3."
        in read_own("table", tmp_path).notes
    )
    assert read_own("table", tmp_path, ordered="0,1,2,3").labels == ("0", "1", "2", "3")
    make_rows(tmp_path, "g0,g2", ["1,0", "0,1"] * 3)
    assert read_own("table", tmp_path, ordered="g0,g1,g2").labels == ("g0", "g1", "g2")


@pytest.mark.parametrize("value", ["0", "1"])
def test_own_label_that_is_the_same_everywhere_is_refused_by_name(tmp_path, value):
    make_rows(tmp_path, "cancer", [value] * 6)
    with pytest.raises(DataError, match=f"The label 'cancer' is {value} for all 6 images"):
        read_own("table", tmp_path)
    assert not propose(tmp_path).is_usable


@pytest.mark.parametrize(
    ("name", "is_patient"),
    [
        *((name, True) for name in (
            "PatID", "Pat-ID", "Patienten-ID", "Patientennummer", "patient_nbr", "anon_patient_id", "empi_anon", "ptid",
            "Patient ID (anon)", "patient_hash", "PatientID_hash", "study_patient_id", "Fallnummer", "pseudonym",
            "lesion_id", "MRN", "subject", "SubjectNumber", "patient", "eid", "PatNr", "Case Number",
        )),
        *((name, False) for name in ("pattern", "part no", "patient type", "study", "caseous", "Fallot", "pt")),
    ],
)  # fmt: skip
def test_own_patients_are_known_by_the_name_of_their_column(name, is_patient):
    facts = ColumnFacts.of(pd.Series([f"P{number // 2}" for number in range(12)], name=name))
    assert is_patient_column(facts) == is_patient


def test_own_patients_of_two_are_used_and_doubtful_columns_are_named(tmp_path):
    """A column patient_id with two patients counted as none, and both lay in every split."""
    make_rows(tmp_path, "mass,patient_id", [f"{number % 2},{'AB'[number // 6]}" for number in range(12)])
    manifest = read_own("table", tmp_path)
    assert manifest.table.groupby("patient_id")["split"].nunique().tolist() == [1, 1]
    warnings = [item.text for item in propose(tmp_path).findings if item.severity == "warning"]
    assert any(text.startswith("No image is in ") and "2 patients are too few" in text for text in warnings)
    make_rows(tmp_path, "mass,patient", [f"{number % 2},{number % 2}" for number in range(12)])
    assert not read_own("table", tmp_path).has_patients
    make_rows(tmp_path, "mass,exam code", [f"{number % 2},E{number // 2}" for number in range(12)])
    warnings = [item.text for item in propose(tmp_path).findings if item.severity == "warning"]
    assert "The patients may be in the column 'exam code': if so, name it with data.patient." in warnings


def test_own_patients_that_are_numbers_count_once(tmp_path):
    ids = ["7", "7.0", "8", "8,0", "9.00", "9"]
    make_rows(tmp_path, "mass,patient", [f'{number % 2},"{text}"' for number, text in enumerate(ids)])
    assert read_own("table", tmp_path).table["patient_id"].tolist() == ["7", "7", "8", "8", "9", "9"]
    ids = ["007", "7", "08", "8", "X1", "01"]
    make_rows(tmp_path, "mass,patient", [f"{number % 2},{text}" for number, text in enumerate(ids)])
    manifest = read_own("table", tmp_path)
    assert manifest.table["patient_id"].tolist() == ["007", "007", "08", "08", "X1", "01"]
    assert any("2 patients of the column 'patient' are written with and without leading zeros" in note
               for note in manifest.notes)  # fmt: skip
    make_rows(tmp_path, "mass,patient", [f"{number % 2},{number // 2}.2E+15" for number in range(12)])
    assert any("which a spreadsheet has rounded" in note for note in read_own("table", tmp_path).notes)


@pytest.mark.parametrize("name", ["Geschlecht", "sex", "Gender", "PatientSex"])
def test_own_sex_of_0_and_1_is_no_label(tmp_path, name):
    make_rows(
        tmp_path, f"Diabetes,{name},male", [f"{number % 2},{number // 2 % 2},{number % 2}" for number in range(8)]
    )
    manifest = read_own("table", tmp_path)
    assert manifest.labels == ("Diabetes",)
    assert manifest.table["sex"].isna().all()
    assert [column.role for column in propose(tmp_path).columns] == ["image", "label", "sex", "unused"]


def test_own_split_with_a_word_that_is_none_is_asked_about(tmp_path):
    """A column 'set' with train, val, test and external was passed over, and the images were split at random."""
    make_rows(
        tmp_path, "dx,set", [f"{'ab'[n % 2]},{('train', 'val', 'test', 'external')[n // 2 % 4]}" for n in range(16)]
    )
    proposal = propose(tmp_path)
    assert (proposal.is_usable, proposal.columns[2].role) == (False, "split")
    assert "has 'external' in the column 'set', which is no split" in proposal.findings[0].text
    assert propose(tmp_path, roles={"set": "unused"}).is_usable


def test_own_table_takes_the_splits_of_the_folders_that_its_images_lie_in(tmp_path):
    """Images in train/, valid/ and test/ with one table were split at random."""
    names = [f"{split}/{split}{number}.png" for split in ("train", "valid", "test") for number in range(4)]
    write_images(tmp_path, *names)
    rows = [f"{name.partition('/')[2]},{'ab'[number % 2]}" for number, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,dx", *rows]))
    manifest = read_own("table", tmp_path)
    assert [path.split("/")[0] for path in manifest.table["image"]] == ["test"] * 4 + ["train"] * 4 + ["valid"] * 4
    assert manifest.table["split"].tolist() == ["test"] * 4 + ["train"] * 4 + ["val"] * 4
    assert "Split into train, val, test by the folders that the images lie in." in manifest.notes
    proposal = propose(tmp_path)
    assert proposal.options["split_column"] == "/"
    assert read_own("table", tmp_path, **proposal.options).fingerprint() == manifest.fingerprint()
    assert read_own("table", tmp_path, split_column="-").table["split"].tolist() != manifest.table["split"].tolist()


def test_own_table_names_the_other_table_of_images_that_it_leaves_out(tmp_path):
    rows = [f"{number:02d}.png,{'ab'[number % 2]}" for number in range(12)]
    make_table(tmp_path, "\n".join(["file,dx", *rows[:8]]), name="train.csv")
    (tmp_path / "test.csv").write_text("\n".join(["file,dx", *rows[8:]]))
    (tmp_path / "hospitals.csv").write_text("hospital,beds\nNord,3\nSüd,5\n")
    assert any("4 images on disk are not in the table" in note and "such images are in test.csv: put" in note
               for note in read_own("table", tmp_path).notes)  # fmt: skip


@pytest.mark.parametrize("style", ["{}", "{}.0", "{}.png"])
@pytest.mark.parametrize("header", ["image", "nr"])
def test_own_images_that_are_numbers_are_found_without_their_zeros(tmp_path, style, header):
    write_images(tmp_path, *(f"{number:05d}.png" for number in range(12)))
    rows = [f"{style.format(number)},{number % 2}" for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join([f"{header},mass", *rows]))
    manifest = read_own("table", tmp_path)
    assert manifest.targets()[:, 0].tolist() == [0, 1] * 6
    assert f"The images were found by number ({header!r})." in manifest.notes
    write_images(tmp_path, "more/7.png", "more/000007.png")
    assert len(read_own("table", tmp_path)) <= 12


def test_own_columns_of_ages_and_of_cases_that_are_classes_are_not_taken_for_others(tmp_path):
    write_images(tmp_path / "ages", *(f"{number:03d}.png" for number in range(40)))
    rows = [f"{20 + number},{number % 2}" for number in range(12)]
    (tmp_path / "ages" / "labels.csv").write_text("\n".join(["age,mass", *rows]))
    with pytest.raises(DataError, match="No column of .* names the images"):
        read_own("table", tmp_path / "ages")
    make_rows(tmp_path, "case", [("case", "control", "healthy")[number % 3] for number in range(12)])
    assert read_own("table", tmp_path).labels == ("case", "control", "healthy")
