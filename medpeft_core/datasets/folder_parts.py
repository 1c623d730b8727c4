"""What belongs into the folder of a data set, found by names alone: tables, and folders with images."""

import heapq
import os
from pathlib import Path

from medpeft_core.datasets.image_files import IMAGE_ENDINGS, find_images
from medpeft_core.datasets.spec import FolderPart

NOTHING_READABLE = "nothing that can be read"


def find_files(root: Path, *groups: tuple[str, ...]) -> tuple[Path, ...]:
    """What `find_file` gives for each group of names, without what is missing: the `sources` of a manifest."""
    found = (find_file(root, names) for names in groups)
    return tuple(path for path in found if path is not None)


def find_file(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of some files that lies in a folder; names are paths below it."""
    return next((root / name for name in names if (root / name).is_file()), None)


def list_folders(root: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; empty where there is none."""
    try:
        return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def name_content(root: Path, limit: int = 5) -> str:
    """What a folder holds, for a sentence: "labels.csv, scans/ and 3 more", or "nothing".

    Args:
        root: the folder; hidden files do not count.
        limit: names at most, the first in alphabetical order.
    """
    names = _list_content(root)
    if names is None:
        return NOTHING_READABLE
    rest = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(heapq.nsmallest(limit, names)) + rest if names else "nothing"


def count_content(root: Path) -> str:
    """The same in numbers, for messages that are kept on disk: folders may be called after patients."""
    names = _list_content(root)
    if names is None:
        return NOTHING_READABLE
    num_folders = sum(name.endswith("/") for name in names)
    counts = {"folder": num_folders, "file": len(names) - num_folders}
    told = [f"{count:,} {word}{'s' * (count != 1)}" for word, count in counts.items() if count]
    return " and ".join(told) or "nothing"


def _list_content(root: Path) -> list[str] | None:
    """Names in a folder, those of folders with "/"; None where it cannot be read."""
    try:
        with os.scandir(root) as entries:
            return [entry.name + "/" * entry.is_dir() for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return None


def tell_table(root: Path, names: tuple[str, ...], use: str, *, is_needed: bool) -> FolderPart:
    """A table under any of its names; `use` says what it holds or what goes without it."""
    found = find_file(root, names)
    title = found.relative_to(root).as_posix() if found else names[0]
    return FolderPart(title=title, is_there=found is not None, is_needed=is_needed, detail=use)


def count_images(
    root: Path, folders: tuple[str, ...], *, endings: tuple[str, ...] = IMAGE_ENDINGS, is_deep: bool = False
) -> int:
    """Image files of different names in some folders; 0 where nothing can be read."""
    try:
        return len(find_images(root, folders, endings=endings, is_deep=is_deep))
    except OSError:
        return 0


def tell_images(title: str, count: int, expected: int, use: str = "", *, is_needed: bool) -> FolderPart:
    """A folder of images, how many are there, and of how many in the whole set."""
    detail = f"{count:,} of {expected:,} images" if count else f"none of {expected:,} images"
    return FolderPart(
        title=title, is_there=count > 0, is_needed=is_needed, detail=f"{detail}; {use}" if use else detail
    )
