"""Finding the image files of a data set, and keeping the rows of its table whose file is there."""

import os
from pathlib import Path

import pandas as pd

from medpeft_core.errors import DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
DICOM_ENDINGS = (".dcm", ".dicom")


def find_images(
    root: Path, folders: tuple[str, ...] = ("",), *, endings: tuple[str, ...] = IMAGE_ENDINGS, is_deep: bool = False
) -> dict[str, str]:
    """File name -> path relative to `root` with "/", from one look into each folder.

    Args:
        root: of the data set.
        folders: below it, the preferred one first; missing ones are passed over.
        endings: of file names, in lower case.
        is_deep: look into the folders below these as well; then the first file of a name counts.
    """
    found: dict[str, str] = {}
    for folder in folders:
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            if not (root / place).is_dir():
                continue
            with os.scandir(root / place) as items:
                below = sorted((item.name, item.is_dir()) for item in items)
            for name, is_folder in below:
                path = f"{place}/{name}" if place else name
                if is_folder:
                    if is_deep and not name.startswith("."):
                        waiting.append(path)
                elif name.lower().endswith(endings) and not name.startswith("."):
                    found.setdefault(name, path)
    return found


def keep_found(table: pd.DataFrame, images: pd.Series, notes: list[str], *, root: Path, expected: str) -> pd.DataFrame:
    """The rows whose image is on disk, with its path as the column `image`, and a note on the others.

    Args:
        table: a row per image.
        images: the path of each row's image relative to `root`, missing where there is none; indexed as the table.
        notes: gets a sentence where some are missing.
        root: for messages.
        expected: a sentence on what the folder should hold.

    Raises:
        DataError: not one image is there.
    """
    num_missing = int(images.isna().sum())
    if num_missing == len(table):
        raise DataError(f"None of the {len(table)} images of the label table is in {root}. {expected}")
    if num_missing:
        notes.append(f"{num_missing} of {len(table)} images are not on disk; they were left out.")
    return table.assign(image=images)[images.notna()].copy()
