"""What a DICOM file says of its patient, its study and its picture, as values of a manifest. Reads no pixels."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from medpeft_core.datasets.decoded import MISSING_REASON, UnreadableImageError
from medpeft_core.datasets.dicom.guarded import START_BYTES, inflate_if_deflated, is_dicom
from medpeft_core.datasets.dicom.header import Header, read_header
from medpeft_core.datasets.dicom.windows import list_windows
from medpeft_core.datasets.people import LATERAL_VIEWS, OLDEST_YEARS, YEARS_PER_UNIT

DAYS_PER_YEAR = 365.25
_AGE = re.compile(r"(\d+(?:\.\d+)?)([YMWD]?)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # with full stops before 1993
_VIEW_MEANINGS = (("postero-anterior", "PA"), ("antero-posterior", "AP"), ("lateral", "LATERAL"))


@dataclass(frozen=True, kw_only=True)
class DicomTags:
    """The tags of one file; None where the file does not say, or says something impossible.

    Attributes:
        age: years, from the tag or from the dates of birth and study.
        sex: "F" or "M".
        view: "PA", "AP", "LATERAL", or what the file says in capitals.
        laterality: "L", "R" or "B".
        study_date: "2019-03-31".
        site: the institution, else manufacturer and model of the machine.
        modality: "CR", "DX", "CT" and so on.
        num_frames: 0 where the file has no pixels.
        photometric: "MONOCHROME2" and so on.
        windows: what the file offers, number 1 first, each as a phrase.
        is_burned_in: whether names or numbers are drawn into the pixels.
    """

    patient_id: str | None = None
    age: float | None = None
    sex: str | None = None
    view: str | None = None
    laterality: str | None = None
    study_date: str | None = None
    site: str | None = None
    modality: str | None = None
    sop_uid: str | None = None
    series_uid: str | None = None
    study_uid: str | None = None
    accession_number: str | None = None
    num_frames: int = 0
    photometric: str | None = None
    windows: tuple[str, ...] = ()
    is_burned_in: bool | None = None


def read_tags(path: Path) -> DicomTags:
    """The tags of a DICOM file; its pixels are not read.

    Raises:
        UnreadableImageError: missing, no DICOM file, cut off within its tags, or built to take forever.
    """
    try:
        with path.open("rb") as file:
            if not is_dicom(file.read(START_BYTES), path.name):
                raise UnreadableImageError(path, "is not a DICOM file", "Choose a .dcm file.")
            header = read_header(path, inflate_if_deflated(path, file), with_people=True)
    except FileNotFoundError as error:
        raise UnreadableImageError(
            path, MISSING_REASON, f"It was looked for in {path.parent}; check the folder."
        ) from error
    except OSError as error:
        reason = "is a folder" if path.is_dir() else f"cannot be opened ({error.strerror or error})"
        raise UnreadableImageError(path, reason, "Check the file.") from error
    return build_tags(header)


def build_tags(header: Header) -> DicomTags:
    """The tags out of a header that was read `with_people`."""
    study = _parse_date(header.text("StudyDate"))
    machine = " ".join(filter(None, (header.text("Manufacturer"), header.text("ManufacturerModelName"))))
    burned_in = header.text("BurnedInAnnotation").upper()
    return DicomTags(
        patient_id=header.text("PatientID") or None,
        age=_find_age(header, study),
        sex=_one_of(header.text("PatientSex"), "FM"),
        view=_find_view(header),
        laterality=_one_of(header.text("ImageLaterality"), "LRB") or _one_of(header.text("Laterality"), "LRB"),
        study_date=study.isoformat() if study else None,
        site=header.text("InstitutionName") or machine or None,
        modality=header.text("Modality") or None,
        sop_uid=header.text("SOPInstanceUID") or None,
        series_uid=header.text("SeriesInstanceUID") or None,
        study_uid=header.text("StudyInstanceUID") or None,
        accession_number=header.text("AccessionNumber") or None,
        num_frames=max(header.count("NumberOfFrames"), 1) if header.count("Rows") else 0,
        photometric=header.text("PhotometricInterpretation") or None,
        windows=tuple(window.title for window in list_windows(header)),
        is_burned_in={"YES": True, "NO": False}.get(burned_in),
    )


def _find_age(header: Header, study: date | None) -> float | None:
    found = _AGE.fullmatch(header.text("PatientAge"))
    if found:
        years = float(found[1]) * YEARS_PER_UNIT[found[2].upper() or "Y"]
        return years if years <= OLDEST_YEARS else None
    birth = _parse_date(header.text("PatientBirthDate"))
    if birth is None or study is None:
        return None
    years = (study - birth).days / DAYS_PER_YEAR
    return years if 0 <= years <= OLDEST_YEARS else None


def _find_view(header: Header) -> str | None:
    view = header.text("ViewPosition").upper()
    if view:
        return "LATERAL" if view in LATERAL_VIEWS else view
    meanings = [item.text("CodeMeaning").lower() for item in header.items("ViewCodeSequence")]
    return next((name for words, name in _VIEW_MEANINGS for meaning in meanings if words in meaning), None)


def _one_of(text: str, letters: str) -> str | None:
    first = text[:1].upper()
    return first if first and first in letters else None


def _parse_date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None
