"""How much the files of a home take, part by part. Links are never followed. Light."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medpeft_core.housekeeping.places import is_below_link

TELL_EVERY = 500  # files

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FolderSize:
    """What lies below a folder; a link counts as nothing, whatever it points to."""

    num_bytes: int = 0
    num_files: int = 0

    def __add__(self, other: "FolderSize") -> "FolderSize":
        return FolderSize(num_bytes=self.num_bytes + other.num_bytes, num_files=self.num_files + other.num_files)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a home.

    Attributes:
        name: for programs.
        title: for people.
        about: what it holds, in a few words.
        is_link: its folder is a link to another place: neither counted nor cleaned.
    """

    name: str
    title: str
    about: str
    size: FolderSize
    is_link: bool = False


# name, title, folder below the home, what is in it. A folder that another part names is not counted twice.
PARTS: tuple[tuple[str, str, str, str], ...] = (
    ("datasets", "Data sets", "datasets", "images that the lab drew or fetched itself"),
    ("pixels", "Decoded images", "cache/pixels", "each image once, small and ready for training"),
    ("features", "Cached features", "cache/features", "what linear probing computed once of each image"),
    ("pictures", "Kept for pages", "cache", "heat maps, first batches and tables that pages showed before"),
    ("shelf", "Weights shelf", "weights/shelf", "weights that were added by hand"),
    ("weights", "Base weights", "weights", "what adapters are laid over, and downloads"),
    ("runs", "Runs", "runs", "settings, best weights, checkpoints, predictions, logs"),
    ("pretraining", "Pre-trainings", "pretraining", "kept encoders, checkpoints, rebuilt images, logs"),
    ("exports", "Exports", "exports", "runs in the formats of others; each can be made again"),
    ("trash", "Deleted runs", "trash", "runs that can still be brought back"),
    ("jobs", "Jobs", "jobs", "records of the newest jobs, with their data reports"),
)
OTHER_PART = ("other", "Index, key and logs", "lab.sqlite, the key of the pseudonyms, compute.log and the like")


def measure_folder(folder: Path, *, skip: frozenset[Path] = frozenset(), tell: Tell | None = None) -> FolderSize:
    """Count the files below a folder and their bytes.

    Args:
        folder: may be missing, a file, or vanish meanwhile.
        skip: folders that are left out with all that is in them.
        tell: told of every few hundred files.
    """
    num_bytes = num_files = 0
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if Path(entry.path) not in skip:
                            pending.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        num_bytes += entry.stat(follow_symlinks=False).st_size
                        num_files += 1
                        if tell is not None and num_files % TELL_EVERY == 0:
                            tell(f"{num_files:,} files")
        except OSError:  # gone meanwhile, or not ours to read: what cannot be seen is not counted
            continue
    return FolderSize(num_bytes=num_bytes, num_files=num_files)


def measure_home(home: Path, tell: Tell = lambda text: None) -> list[Part]:
    """Every part of a home, the largest first; together they are all that lies in it."""
    named = frozenset(home / folder for _, _, folder, _ in PARTS)
    parts = []
    for name, title, folder, about in PARTS:
        tell(f"measuring {title.lower()}")
        is_link = is_below_link(home / folder, home)
        skip = named - {home / folder}
        size = FolderSize() if is_link else measure_folder(home / folder, skip=skip, tell=_prefix(tell, title))
        parts.append(Part(name=name, title=title, about=about, size=size, is_link=is_link))
    name, title, about = OTHER_PART
    rest = measure_folder(home, skip=named)
    parts.append(Part(name=name, title=title, about=about, size=rest))
    return sorted(parts, key=lambda part: part.size.num_bytes, reverse=True)


def _prefix(tell: Tell, title: str) -> Tell:
    return lambda text: tell(f"{title.lower()}: {text}")
