"""What may tell who a patient is stands in no note, no file that is kept and no file that is shared."""

import pytest
from own_files import make_table, read_own, write_dicom, write_images

from medpeft_core.datasets.own.sharing import share_data
from medpeft_core.datasets.own.store import add_data
from medpeft_core.datasets.own.stored_sets import own_dir
from medpeft_core.errors import DataError


def test_own_notes_name_no_patient_of_a_table_that_is_matched_by_ids(tmp_path):
    """The notes listed patients whose images were missing, and the shared file took them along."""
    rows = ["PatientID,diagnosis"]
    for number in range(12):
        write_dicom(tmp_path / "in" / f"meier_{number}.dcm", PatientID=f"MEIER-HANS-{number}")
        rows.append(f"MEIER-HANS-{number},{'ab'[number % 2]}")
    write_dicom(tmp_path / "in" / "meier_more.dcm", PatientID="MEIER-HANS-0")
    write_dicom(tmp_path / "in" / "weber_eva.dcm", PatientID="WEBER-EVA-1")
    rows += [f"SCHULZE-ANNA-{number},a" for number in range(7)]
    (tmp_path / "in" / "labels.csv").write_text("\n".join(rows))
    stored = add_data(name="films", form="dicom", root=str(tmp_path / "in"))
    notes = " ".join(stored["notes"])
    assert "7 of 19 images of the table are not on disk, for example lines 14, 15, 16, 17, 18 ...;" in notes
    assert "1 images on disk are not in the table; they were left out." in notes
    kept = b"".join(path.read_bytes() for path in (own_dir() / "films").iterdir())
    share_data("films", tmp_path)
    for content in (kept, (tmp_path / "films.medpeft.zip").read_bytes(), notes.encode()):
        assert not any(name in content for name in (b"SCHULZE", b"MEIER", b"weber"))


def test_own_errors_name_no_patient(tmp_path):
    """A failed job keeps its error on the disk."""
    write_images(tmp_path, "1.png", "2.png")
    (tmp_path / "labels.csv").write_text("image,mass\nSCHULZE-ANNA,1\nMEIER-HANS,0\n")
    with pytest.raises(DataError, match=r"None of the 2 images .*, for example line 2; the first file") as caught:
        read_own("table", tmp_path, image="image")
    assert "SCHULZE" not in str(caught.value)


@pytest.mark.parametrize("role", ["age", "date"])
def test_own_notes_repeat_no_ages_and_dates(tmp_path, role):
    cells = ["1956-13-40", "Meier", "201", "-3", *["", "44" if role == "age" else "2020-01-31"] * 4]
    rows = "".join(f"{number:02d}.png,{number % 2},{cell}\n" for number, cell in enumerate(cells))
    manifest = read_own("table", make_table(tmp_path, f"file,mass,{role}\n{rows}"), **{role: role})
    notes = " ".join(manifest.notes)
    assert f"4 rows hold no possible {role} in the column '{role}' (lines 2, 3, 4, 5);" in notes
    assert not any(cell in notes for cell in ("1956", "Meier", "201", "-3"))
    assert manifest.table[role].notna().sum() == 4
