"""Images that lie in folders of patients and studies, as CheXpert and MIMIC-CXR keep them."""

import os
from collections.abc import Iterator
from pathlib import Path


def list_study_files(root: Path, place: str, levels: tuple[str, ...], endings: tuple[str, ...]) -> Iterator[str]:
    """Paths of images below a folder, with "/"; each folder is looked into once and no file is opened.

    Args:
        root: of the data set.
        place: folder below it.
        levels: how the names of the folders begin, from outside to inside: ("patient", "study"); others are passed
            over.
        endings: of file names, in lower case.

    Yields:
        Paths relative to `place`, in no order.
    """
    yield from _walk(f"{root}/{place}", "", levels, endings)


def count_folders(folder: Path, start: str) -> int:
    """How many folders with such names lie in a folder, from one look; 0 where there is none."""
    return sum(name.startswith(start) for name in _list(str(folder)))


def _walk(folder: str, inner: str, levels: tuple[str, ...], endings: tuple[str, ...]) -> Iterator[str]:
    for name in _list(folder):
        path = f"{inner}/{name}" if inner else name
        if not levels:
            if name.lower().endswith(endings) and not name.startswith("."):
                yield path
        elif name.startswith(levels[0]):
            yield from _walk(f"{folder}/{name}", path, levels[1:], endings)


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (NotADirectoryError, FileNotFoundError):
        return []
