"""How the images of RSNA's challenge go to train, val and test: by the papers' lists, in their way, or at random."""

from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.nih_lists import find_lists, read_lists
from medpeft_core.datasets.rsna_tables import LABEL
from medpeft_core.datasets.splits import hash_order
from medpeft_core.errors import DataError

TRAIN_LISTS = {"papers": "train_list.txt", "papers_10": "train_10.txt", "papers_1": "train_1.txt"}
TEST_LIST = "test_list.txt"
SORTED_NOTE = (
    "The papers' order is the files' names, not chance, so val has another share of images with pneumonia than train "
    "and test; for equal shares split anew with --set data.split=stratified."
)
# The papers took 1,500 of the 26,684 labelled images for val, and tested on the 3,000 others of the challenge.
_VAL_SHARE, _TEST_SHARE = 1500 / 26684, 3000 / 29684


def choose_lists(root: Path, wanted: str) -> dict[str, Path]:
    """Split -> list file of the papers, in the folder itself or in its sub-folder `lists`; empty for none.

    Args:
        root: folder of the data set.
        wanted: "auto" (the papers' lists if there), "papers", "papers_10", "papers_1", "sorted" or "none".

    Raises:
        DataError: wanted lists are not there, or only some of them.
    """
    if wanted in ("sorted", "none"):
        return {}
    if wanted in ("auto", "papers"):
        return find_lists(root, wanted, num_labels=1)[1]
    names = {"train": TRAIN_LISTS[wanted], "val": "val_list.txt", "test": TEST_LIST}
    found = {split: path for split, name in names.items() if (path := find_list(root, name)) is not None}
    missing = [name for split, name in names.items() if split not in found]
    if missing:
        raise DataError(
            f"{root} lacks {', '.join(missing)}, in it or in its sub-folder lists, but data.lists={wanted} needs "
            "them. Add the papers' lists, or split without them: --set data.lists=none"
        )
    return found


def find_list(root: Path, name: str) -> Path | None:
    """A list in the folder itself or in its sub-folder `lists`."""
    return next((path for path in (root / name, root / "lists" / name) if path.is_file()), None)


def split_by_lists(entries: pd.DataFrame, lists: dict[str, Path], notes: list[str]) -> pd.DataFrame:
    """Splits and labels of the papers' lists; where these differ from the table's, the lists win.

    Args:
        entries: a row per labelled image with `key`, `Pneumonia` and `boxes`.
        lists: split -> file.
        notes: gets sentences on what was done.

    Returns:
        A row per listed image; those of the test list are in no label table and have no boxes.

    Raises:
        DataError: a list is odd, or names an image twice.
    """
    listed = read_lists(lists, num_labels=1)
    listed["key"] = [Path(name).stem for name in listed["name"]]
    merged = listed.merge(entries, on="key", how="left")
    differs = merged[LABEL].notna() & (merged[LABEL] != merged[0])
    num_left = int((~entries["key"].isin(listed["key"])).sum())
    merged[LABEL], merged["split"] = merged[0], merged["part"]
    merged["boxes"] = [value if isinstance(value, list) else [] for value in merged["boxes"]]
    notes.append(f"Split and labels of the papers' lists: {', '.join(path.name for path in lists.values())}.")
    if differs.any():
        notes.append(
            f"Lists and table differ in the labels of {int(differs.sum())} of {len(merged)} images; the lists win."
        )
    if num_left:
        notes.append(f"Images of the label table that no list names ({num_left}) were left out.")
    return merged[["key", LABEL, "boxes", "split"]]


def split_sorted(root: Path, entries: pd.DataFrame, seed: int, notes: list[str]) -> pd.DataFrame:
    """The papers' way without their lists: sorted by name, and val is the end.

    What is tested are the images of test_list.txt where that is there, which makes it the papers' split; the
    challenge's own test images have no labels, so else as large a share is drawn from the images before val.

    Args:
        root: folder of the data set.
        entries: as `split_by_lists` takes them, sorted by `key`.
        seed: of the images that are tested.
        notes: gets sentences on what was done.
    """
    num_val = min(max(round(len(entries) * _VAL_SHARE), 1), len(entries) - 1)
    split = np.full(len(entries), "train", dtype=object)
    split[len(entries) - num_val :] = "val"
    table = entries.assign(split=split)
    test_list = find_list(root, TEST_LIST)
    notes.append(f"Sorted by name as in the papers: val is the last {num_val} of {len(entries)} labelled images.")
    if test_list is not None:
        tested = split_by_lists(entries.iloc[:0], {"test": test_list}, [])
        notes.append(f"What is tested, with its labels, is in {TEST_LIST}.")
        return pd.concat([table[~table["key"].isin(tested["key"])], tested], ignore_index=True)
    num_test = max(round(len(entries) * _TEST_SHARE), 1)
    before = table["key"].to_numpy()[: len(entries) - num_val]
    table.loc[hash_order(before, seed)[:num_test], "split"] = "test"
    notes.append(
        f"{num_test} of the images before val are tested, drawn at random, seed {seed}; the papers' test images have "
        f"labels in their {TEST_LIST} alone."
    )
    return table


def tell_shares(table: pd.DataFrame) -> str:
    """A sentence on the share of positive images of each split."""
    shares = {name: table.loc[table["split"] == name, LABEL].mean() for name in ("train", "val", "test")}
    told = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items() if share == share)
    return f"As the reader splits them, pneumonia is seen in {told}."
