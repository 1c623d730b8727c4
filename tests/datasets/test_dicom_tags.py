"""What is read of people and studies out of DICOM tags, and what is not believed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import write_dicom
from pydicom.dataset import Dataset

from medpeft_core.datasets.dicom.tags import DicomTags, read_tags
from medpeft_core.datasets.images import UnreadableImageError


def read(folder: Path, **tags: Any) -> DicomTags:
    return read_tags(write_dicom(folder / "a.dcm", np.zeros((20, 20), "u1"), **tags))


@pytest.mark.parametrize(
    ("tags", "age"),
    [
        ({"PatientAge": "058Y"}, 58), ({"PatientAge": "009M"}, 0.75), ({"PatientAge": "012D"}, 12 / 365.25),
        ({"PatientAge": "414Y"}, None), ({"PatientBirthDate": "19800101", "StudyDate": "20200101"}, 40),
        ({"PatientBirthDate": "20200101", "StudyDate": "19800101"}, None), ({"PatientBirthDate": "19800101"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_age_in_years(tmp_path: Path, tags: dict[str, str], age: float | None) -> None:
    assert read(tmp_path, **tags).age == (None if age is None else pytest.approx(age, abs=0.01))


def test_view_laterality_sex_and_date(tmp_path: Path) -> None:
    meaning = Dataset()
    meaning.CodeMeaning = "antero-posterior"
    assert read(tmp_path, ViewPosition="LL").view == "LATERAL"
    assert read(tmp_path, ViewPosition="PA").view == "PA"
    assert read(tmp_path, ViewCodeSequence=[meaning]).view == "AP"
    assert read(tmp_path, ImageLaterality="L", Laterality="R").laterality == "L"
    assert read(tmp_path, ImageLaterality="U", Laterality="R").laterality == "R"
    assert (read(tmp_path, PatientSex="O").sex, read(tmp_path, PatientSex="F").sex) == (None, "F")
    assert read(tmp_path, StudyDate="20190331").study_date == "2019-03-31"
    assert read(tmp_path, StudyDate="").study_date is None


def test_site_study_and_picture(tmp_path: Path) -> None:
    machine = {"Manufacturer": "ACME", "ManufacturerModelName": "X 1"}
    assert read(tmp_path, **machine).site == "ACME X 1"
    assert read(tmp_path, InstitutionName="St. Anna", **machine).site == "St. Anna"
    tags = read(
        tmp_path, PatientID=" 007 ", AccessionNumber="A1", BurnedInAnnotation="YES", WindowCenter=[1, 2],
        WindowWidth=[3, 4], WindowCenterWidthExplanation=["A", "B"], StudyInstanceUID="1.2.3",
    )  # fmt: skip
    assert (tags.patient_id, tags.accession_number, tags.study_uid) == ("007", "A1", "1.2.3")
    assert (tags.is_burned_in, tags.num_frames, tags.photometric) == (True, 1, "MONOCHROME2")
    assert tags.windows == ("A (centre 1, width 3)", "B (centre 2, width 4)")
    bare = read(tmp_path)
    assert (bare.patient_id, bare.site, bare.is_burned_in, bare.windows) == (None, None, None, ())


def test_read_tags_refuses_what_is_no_dicom_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a letter")
    for path, reason in (
        (tmp_path / "a.txt", "a.txt is not a DICOM file"),
        (tmp_path / "gone.dcm", "gone.dcm does not exist"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(UnreadableImageError, match=reason):
            read_tags(path)
