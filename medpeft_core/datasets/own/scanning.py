"""What lies in a folder that somebody gave: images, DICOM files, masks, tables, and what is passed over. Light."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medpeft_core.datasets.dicom.guarded import is_dicom
from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.errors import DataError

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")
MAX_FILES = 2_000_000
TELL_EVERY = 2000
_SYSTEM_NAMES = ("__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin")
_MASK_STEM = re.compile(r"(.+?)[ _-](?:mask|segmentation|seg)(?:[ _-]?\d+)?", re.IGNORECASE)
_MASK_FOLDERS = ("mask", "masks", "segmentation", "segmentations")
_NOT_TABLES = re.compile(r"(read_?me|licen[cs]e|.*requirements|sha256sums|.*checksums?|changelog|citation).*", re.I)
_HEAD_BYTES = 132  # tell a DICOM file
_NO_ENDING = re.compile(r"(\.[0-9]*)?")  # UIDs as names, 1.2.840.113619, have endings of digits only


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The files below a folder, as paths relative to it with "/" between folders, sorted.

    Attributes:
        images: PNG, JPEG, BMP and TIFF files that are no masks.
        dicoms: DICOM files, by their ending or their first bytes.
        masks: path of an image -> path of its mask; where there are several, the first.
        tables: files that may be tables of labels.
        num_masks: all masks, also those without an image.
        outside: links that lead out of the folder; they were not followed.
        repeated: links to folders below the root, which are seen anyway; they were not followed.
        others: ending -> number of files that are nothing of the above.
    """

    root: Path
    images: tuple[str, ...]
    dicoms: tuple[str, ...]
    masks: dict[str, str]
    tables: tuple[str, ...]
    num_masks: int = 0
    outside: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    others: dict[str, int] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Images of either kind, sorted."""
        return tuple(sorted((*self.images, *self.dicoms)))


def scan_folder(root: Path, *, progress: Progress = ignore_progress) -> Scan:
    """Look once into a folder and all folders below it; hidden files and those that systems leave are passed over.

    Args:
        root: the folder.
        progress: told of the files seen; may raise to stop.

    Raises:
        DataError: no such folder, or more than two million files.
    """
    if not root.is_dir():
        problem = f"{root} is a file, not a folder" if root.exists() else f"The folder {root} does not exist"
        raise DataError(f"{problem}. Give the folder that holds the images.")
    top = root.resolve()
    images: list[str] = []
    dicoms: list[str] = []
    tables: list[str] = []
    outside: list[str] = []
    repeated: list[str] = []
    others: Counter[str] = Counter()
    for num_seen, (path, place) in enumerate(_walk(root, top, outside, repeated), start=1):
        if num_seen % TELL_EVERY == 0:
            progress("looking at files", num_seen, 0)
        if num_seen > MAX_FILES:
            raise DataError(f"{root} holds more than {MAX_FILES:,} files. Give the folder of one data set.")
        ending = os.path.splitext(path)[1].lower()
        if ending in IMAGE_ENDINGS:
            images.append(path)
        elif ending in DICOM_ENDINGS or (_NO_ENDING.fullmatch(ending) and _is_dicom(path, place)):
            dicoms.append(path)
        elif ending in TABLE_ENDINGS and not _NOT_TABLES.fullmatch(path.rpartition("/")[2]):
            tables.append(path)
        else:
            others[ending or "no ending"] += 1
    images.sort()
    kept, masks, num_masks = _part_masks(images)
    return Scan(
        root=root, images=tuple(kept), dicoms=tuple(sorted(dicoms)), masks=masks, num_masks=num_masks,
        tables=tuple(sorted(tables, key=lambda path: (path.count("/"), path))), outside=tuple(sorted(outside)),
        repeated=tuple(sorted(repeated)), others=dict(others.most_common()),
    )  # fmt: skip


def _walk(root: Path, top: Path, outside: list[str], repeated: list[str]) -> Iterator[tuple[str, str]]:
    """(path below the root, path on the disk) of every file, each folder once.

    Links that lead out are put into `outside`, those to folders that are seen without them into `repeated`.
    """
    waiting = [("", str(root), False)]
    linked: set[str] = set()  # real paths of folders that only links lead to, such as those in hidden ones
    while waiting:
        folder, place, is_linked = waiting.pop()
        if is_linked:
            real = os.path.realpath(place)
            if real in linked:
                continue
            linked.add(real)
        with os.scandir(place) as items:
            for item in items:
                name = item.name
                if _is_passed_over(name):
                    continue
                path = f"{folder}/{name}" if folder else name
                is_below = is_linked
                if item.is_symlink():
                    target = Path(item.path).resolve()
                    if not target.is_relative_to(top):
                        outside.append(path)
                        continue
                    if target.is_dir():
                        if not any(map(_is_passed_over, target.relative_to(top).parts)):
                            repeated.append(path)
                            continue
                        is_below = True
                if item.is_dir():
                    waiting.append((path, item.path, is_below))
                elif item.is_file():
                    yield path, item.path


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _is_dicom(path: str, place: str) -> bool:
    try:
        with open(place, "rb") as file:
            return is_dicom(file.read(_HEAD_BYTES), path)
    except OSError:
        return False


def _part_masks(paths: list[str]) -> tuple[list[str], dict[str, str], int]:
    """Images that are no masks, their masks, and the number of all masks.

    A mask is called like its image with "_mask" or the like behind it, or lies under the name of another image in a
    folder named masks; a class may well be called mask.
    """
    named: dict[str, str] = {}  # path of the image without ending, in small letters -> mask
    kept, in_folders, num_masks = [], [], 0
    for path in paths:
        lowered = path.lower()
        is_like = "mask" in lowered or "seg" in lowered
        folder, _, name = path.rpartition("/")
        found = _MASK_STEM.fullmatch(os.path.splitext(name)[0]) if is_like else None
        if found is not None:
            num_masks += 1
            named.setdefault(f"{folder}/{found.group(1)}".lower().removeprefix("/"), path)
        elif is_like and folder.rpartition("/")[2].lower() in _MASK_FOLDERS:
            in_folders.append(path)
        else:
            kept.append(path)
    if not kept:
        return paths, {}, 0
    wholes = {os.path.splitext(path)[0].lower() for path in kept} if in_folders else set()
    stems = Counter(whole.rpartition("/")[2] for whole in wholes)
    for path in in_folders:
        folder, _, stem = os.path.splitext(path)[0].lower().rpartition("/")
        beside = f"{folder.rpartition('/')[0]}/{stem}".removeprefix("/")
        if beside in wholes or stems[stem] == 1:
            num_masks += 1
            named.setdefault(beside if beside in wholes else stem, path)
        else:
            kept.append(path)
    if not named:
        return sorted(kept), {}, 0
    masks = {}
    for path in kept:
        whole = os.path.splitext(path)[0].lower()
        mask = named.get(whole) or named.get(whole.rpartition("/")[2])
        if mask:
            masks[path] = mask
    return sorted(kept), masks, num_masks
