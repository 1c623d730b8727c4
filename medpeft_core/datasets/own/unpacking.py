"""Zip files among what somebody uploaded, unpacked where they lie: images and tables, nothing else. Light."""

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS
from medpeft_core.datasets.own.scanning import TABLE_ENDINGS
from medpeft_core.datasets.own.zip_entries import check_space, list_entries, open_zip, read_entry
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.errors import DataError
from medpeft_core.paths import rename

WANTED = (*IMAGE_ENDINGS, *DICOM_ENDINGS, *TABLE_ENDINGS)
HALF_PREFIX = ".half-"
_DICOM_MARK_AT, _DICOM_MARK = 128, b"DICM"
_SYSTEM = ("__macosx", "thumbs.db", "desktop.ini")


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What came out of the zip files of a folder.

    Attributes:
        num_files: unpacked.
        num_bytes: of these.
        left_out: ending -> number of files that are neither images nor tables; those of systems are not counted.
    """

    num_files: int = 0
    num_bytes: int = 0
    left_out: dict[str, int]

    @property
    def note(self) -> str:
        """A sentence on what was left out, or ""."""
        if not self.left_out:
            return ""
        shown = ", ".join(f"{count} {ending}" for ending, count in list(self.left_out.items())[:5])
        return f"{sum(self.left_out.values())} files are neither images nor tables and were left out: {shown}."


def unpack_zips(folder: Path, *, progress: Progress = ignore_progress) -> Unpacked:
    """Unpack the zip files that lie directly in a folder, and remove them: each into a folder of its name, the only
    file into the folder itself.

    Either everything is unpacked or nothing: a stop, or a zip that is refused, leaves the folder as it was.

    Args:
        folder: of an upload.
        progress: told of bytes; may raise to stop.

    Raises:
        DataError: a zip is damaged, protected by a password, leads outside, or is too large; says which and why.
    """
    zips = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() == ".zip")
    if not zips:
        return Unpacked(left_out={})
    is_alone = len(list(folder.iterdir())) == 1
    half = Path(tempfile.mkdtemp(dir=folder, prefix=HALF_PREFIX))
    left_out: Counter[str] = Counter()
    num_files = num_bytes = 0
    try:
        for path in zips:
            goal = half if is_alone else half / path.stem
            goal.mkdir(exist_ok=True)
            counts = _unpack_one(path, goal, left_out, progress)
            num_files, num_bytes = num_files + counts[0], num_bytes + counts[1]
        found = list(half.iterdir())
        beside = {path.name for path in folder.iterdir()} - {path.name for path in zips}
        doubled = [path.name for path in found if path.name in beside]
        if doubled:
            raise DataError(f"{doubled[0]} was uploaded by itself and in a zip file. Upload one of both.")
        for path in zips:
            path.unlink()
        for path in found:
            rename(path, folder / path.name)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return Unpacked(num_files=num_files, num_bytes=num_bytes, left_out=dict(left_out.most_common()))


def _unpack_one(path: Path, goal: Path, left_out: Counter[str], progress: Progress) -> tuple[int, int]:
    """Unpack one zip into a folder; gives the number of files and their bytes."""
    with open_zip(path) as archive:
        wanted = {}
        for name, info in list_entries(path, archive).items():
            if _is_hidden(name):
                continue
            ending = os.path.splitext(name)[1].lower()
            if ending in WANTED or _is_dicom(path, archive, info, ending):
                wanted[name] = info
            else:
                left_out[ending or "no ending"] += 1
        if not wanted:
            held = ", ".join(f"{count} {ending}" for ending, count in left_out.most_common(5)) or "nothing at all"
            raise DataError(f"{path.name} holds no images and no tables, but {held}. Zip the images themselves.")
        total = sum(info.file_size for info in wanted.values())
        check_space(path, goal, total)
        done = 0
        for name, info in wanted.items():
            target = goal.joinpath(*name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in read_entry(path, archive, info):
                    file.write(chunk)
                    done += len(chunk)
                    progress(f"unpacking {path.name}", done, total)
    return len(wanted), total


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in _SYSTEM for part in name.split("/"))


def _is_dicom(path: Path, archive: ZipFile, info: ZipInfo, ending: str) -> bool:
    """Whether a file without an ending, or with digits for one, is a DICOM file by its first bytes."""
    if ending.strip(".0123456789"):
        return False
    head = next(read_entry(path, archive, info), b"")
    return head[_DICOM_MARK_AT : _DICOM_MARK_AT + len(_DICOM_MARK)] == _DICOM_MARK
