"""Splits of a table's images that the folders tell which these lie in: train/1.png, data/Test/2.png. Light."""

from collections.abc import Iterable

from medpeft_core.datasets.own.cells import SPLIT_WORDS, fold_words

SOURCE = "the folders that the images lie in"
ADVICE = "Have all images split anew with data.split_column=-."


def find_folder_splits(paths: Iterable[str]) -> dict[str, str | None] | None:
    """Path -> split by the first of its folders that is called after one, None where none is.

    None instead of all that where the folders do not part the images into train and another split.
    """
    found = {path: _find_split(path.split("/")[:-1]) for path in paths}
    splits = set(found.values()) - {None}
    return found if "train" in splits and len(splits) > 1 else None


def _find_split(folders: list[str]) -> str | None:
    return next((split for name in folders if (split := SPLIT_WORDS.get(fold_words(name)))), None)
