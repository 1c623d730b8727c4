"""The papers' split lists of CheXpert: on each line the path of an image and its five labels, 0 or 1."""

from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.chexpert_tables import parse_paths
from medpeft_core.datasets.uncertain import PAPER_LABELS
from medpeft_core.errors import DataError

TRAIN_LISTS = {"papers": "train_list.txt", "papers_10": "train_10.txt", "papers_1": "train_1.txt"}
_VAL_LIST, _TEST_LIST = "val_list.txt", "test_list.txt"


def find_lists(root: Path, wanted: str) -> dict[str, Path]:
    """Split -> list file, in the folder itself or in its sub-folder `lists`.

    The papers published no list of all training images and none of val; without these the official tables decide.

    Args:
        root: folder of the data set.
        wanted: "auto" (as "papers" where the list of test is there, else none), "papers", "papers_10", "papers_1" or
            "none".

    Raises:
        DataError: wanted lists are missing.
    """
    if wanted == "none":
        return {}
    names = {"train": TRAIN_LISTS["papers" if wanted == "auto" else wanted], "val": _VAL_LIST, "test": _TEST_LIST}
    found = {
        split: place for split, name in names.items() for place in (root / "lists" / name, root / name)
        if place.is_file()
    }  # fmt: skip
    if wanted == "auto":
        return found if "test" in found else {}
    needed = ("test",) if wanted == "papers" else ("train", "test")
    missing = [names[split] for split in needed if split not in found]
    if missing:
        raise DataError(
            f"{root} lacks {', '.join(missing)}, in it or in its sub-folder lists, but data.lists={wanted} needs it. "
            "Add the papers' lists, or split without them: --set data.lists=none"
        )
    return found


def read_list(path: Path) -> pd.DataFrame:
    """One list.

    Returns:
        Columns `key`, `patient_id`, `is_frontal` as `read_table` gives them, and one float column for each of the
        papers' five labels.

    Raises:
        DataError: a line has another form or another label than 0 and 1, or an image is listed twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file (UTF-8). Get it again.") from error
    rows = {number: line.split() for number, line in enumerate(lines, start=1) if line.strip()}
    for number, words in rows.items():
        if len(words) != 1 + len(PAPER_LABELS) or any(word not in ("0", "1") for word in words[1:]):
            raise DataError(
                f"Line {number} of {path} must hold the path of an image and {len(PAPER_LABELS)} labels, 0 or 1, for "
                f"{', '.join(PAPER_LABELS)}, but it is {lines[number - 1][:100]!r}."
            )
    if not rows:
        raise DataError(f"{path} is empty. Get it again.")
    table = parse_paths(path, pd.Series({number: words[0] for number, words in rows.items()}, dtype=str))
    doubled = table["key"][table["key"].duplicated()]
    if len(doubled):
        raise DataError(f"{path} lists {doubled.iloc[0]} more than once. List each image once.")
    table[list(PAPER_LABELS)] = np.array([words[1:] for words in rows.values()], dtype=float)
    return table.reset_index(drop=True)
