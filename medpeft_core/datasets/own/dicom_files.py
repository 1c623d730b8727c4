"""The headers of many DICOM files as a table: who, when, which view, and the attribute that holds the class. Light."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.datasets.dicom.guarded import GuardedFile, inflate_if_deflated
from medpeft_core.datasets.dicom.header import Header, list_errors, silence_pydicom
from medpeft_core.datasets.dicom.tags import DicomTags, read_tags
from medpeft_core.datasets.images import UnreadableImageError
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError

KEY_COLUMNS = ("sop_uid", "series_uid", "study_uid", "accession_number", "patient_id")
_PEOPLE = ("age", "sex", "view", "laterality", "site")
_AT_ONCE = 512
_FORBIDDEN = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "PatientName", "OtherPatientNames")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class DicomTable:
    """Headers of the files that hold a picture.

    Attributes:
        frame: columns `image` (path below the root), `patient_id`, `age`, `sex`, `view`, `laterality`, `site`, `date`,
            `sop_uid`, `series_uid`, `study_uid`, `accession_number`, `modality`, and `tag` (text, "" where missing).
        notes: sentences on what was left out.
        warnings: sentences on what may be wrong with the pictures.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_headers(root: Path, paths: tuple[str, ...], *, tag: str, progress: Progress) -> DicomTable:
    """The tags of DICOM files, several at once; no pixel is read.

    Args:
        root: folder of the paths.
        paths: of the files.
        tag: keyword of one more attribute, such as ViewPosition; "" for none.
        progress: told of files; may raise to stop.

    Raises:
        DataError: `tag` is no attribute that may be read.
    """
    if tag:
        check_keyword(tag)
    rows = []
    bad: list[str] = []
    without: list[str] = []
    found = run_threads(
        lambda path: _read_one(root / path, tag), paths, what="reading DICOM headers", progress=progress
    )
    for path, (tags, value) in zip(paths, found, strict=True):
        if tags is None:
            bad.append(f"{path} ({value})")
        elif tags.num_frames == 0:
            without.append(path)
        else:
            rows.append({"image": path, **{name: getattr(tags, name) for name in (*_PEOPLE, *KEY_COLUMNS, "modality")},
                         "date": tags.study_date, "tag": value, "is_burned_in": tags.is_burned_in})  # fmt: skip
    columns = ("image", *_PEOPLE, *KEY_COLUMNS, "modality", "date", "tag", "is_burned_in")
    frame = pd.DataFrame(rows, columns=list(columns))
    notes = []
    if without:
        notes.append(f"{len(without)} DICOM files hold no picture, for example {_list(without)}; they were left out.")
    if bad:
        notes.append(f"{len(bad)} DICOM files cannot be read: {_list(bad)}; they were left out.")
    burned = int(frame["is_burned_in"].eq(True).sum())  # many files do not say
    warnings: tuple[str, ...] = ()
    if burned:
        warnings = (
            f"{burned} DICOM files state that names or numbers are drawn into the picture (BurnedInAnnotation). A "
            "model "
            "may learn from them, and they may name patients.",
        )
    return DicomTable(frame=frame, notes=tuple(notes), warnings=warnings)


def check_keyword(tag: str) -> None:
    """Refuse what is no attribute of DICOM, or one whose value is no class.

    Raises:
        DataError: names the attribute.
    """
    from pydicom.datadict import tag_for_keyword

    if tag_for_keyword(tag) is None or tag in _FORBIDDEN:
        raise DataError(
            f"data.tag is {tag!r}, but it must be the keyword of a DICOM attribute that tells the class, such as "
            "ViewPosition or Modality."
        )


def run_threads(
    work: Callable[[str], Any], items: tuple[str, ...], *, what: str, progress: Progress, num_threads: int = 0
) -> list[Any]:
    """`work` on every item, several at once, in their order; `progress` may raise between two portions."""
    results: list[Any] = []
    workers = num_threads or min(8, (os.cpu_count() or 1) + 2)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for start in range(0, len(items), _AT_ONCE):
            progress(what, start, len(items))
            results += pool.map(work, items[start : start + _AT_ONCE])
    progress(what, len(items), len(items))
    return results


def _read_one(path: Path, tag: str) -> tuple[DicomTags | None, str]:
    """Tags and the text of the attribute; without tags the reason why there are none."""
    try:
        tags = read_tags(path)
        return tags, read_attribute(path, tag) if tag else ""
    except UnreadableImageError as error:
        return None, error.reason


def read_attribute(path: Path, tag: str) -> str:
    """The first value of one attribute of a DICOM file as text; "" where it has none, or cannot be read."""
    import pydicom

    silence_pydicom()
    try:
        with path.open("rb") as file:
            dataset = pydicom.dcmread(
                GuardedFile(inflate_if_deflated(path, file)), stop_before_pixels=True, force=True, specific_tags=[tag]
            )
            return Header(dataset=dataset).text(tag)
    except list_errors():
        return ""


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
