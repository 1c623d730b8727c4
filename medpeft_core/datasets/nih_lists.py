"""The split lists of NIH ChestX-ray14 in two forms: NIH's own (names only) and the papers' (names with 14 labels)."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from medpeft_core.errors import DataError

NIH_FILES = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
PAPER_FILES = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}


def find_lists(root: Path, wanted: str, *, num_labels: int) -> tuple[str, dict[str, Path]]:
    """Which lists there are, and where: in the folder itself or in its sub-folder `lists`.

    The two forms share the name test_list.txt; they are told apart by their number of columns.

    Args:
        root: folder of the data set.
        wanted: "auto" (the papers' lists, else NIH's, else none), "nih", "papers" or "none".
        num_labels: labels on a line of the papers' lists.

    Returns:
        "papers", "nih" or "none", and part name -> file.

    Raises:
        DataError: the wanted lists are not there, or only some of them.
    """
    if wanted == "none":
        return "none", {}
    forms = {"papers": (PAPER_FILES, num_labels + 1), "nih": (NIH_FILES, 1)}
    found = {
        form: _find_all(root, names, columns) for form, (names, columns) in forms.items() if wanted in ("auto", form)
    }
    for form, files in found.items():
        if len(files) == len(forms[form][0]):
            return form, files
    for form, files in found.items():
        if wanted == form or set(files) - {"test"}:  # a lone test_list.txt tells nothing
            _refuse_incomplete(root, form, *forms[form])
    return "none", {}


def read_lists(files: dict[str, Path], *, num_labels: int) -> pd.DataFrame:
    """All lists as one table.

    Args:
        files: part -> file, as `find_lists` gives them.
        num_labels: labels on each line; 0 for lists of names.

    Returns:
        Columns `name` (file name without folders), `part`, and 0 to `num_labels` - 1 with 0.0 or 1.0; in the order of
        the files.

    Raises:
        DataError: a line has another number of columns or another label than 0 and 1, or an image is listed twice.
    """
    table = pd.concat(
        [_read_list(path, num_labels).assign(part=part) for part, path in files.items()], ignore_index=True
    )
    doubled = table[table["name"].duplicated(keep=False)]
    if len(doubled):
        name = doubled["name"].iloc[0]
        places = [files[part].name for part in doubled.loc[doubled["name"] == name, "part"]]
        raise DataError(
            f"{doubled['name'].nunique()} images are in the split lists more than once, for example {name} in "
            f"{' and '.join(places)}. List each image once."
        )
    return table


def _find_all(root: Path, names: dict[str, str], num_columns: int) -> dict[str, Path]:
    """Part -> file, for those files that are there and have that many columns."""
    found = {}
    for part, name in names.items():
        candidates = [path for path in (root / name, root / "lists" / name) if path.is_file()]
        fitting = [path for path in candidates if _count_columns(path) == num_columns]
        if fitting:
            found[part] = fitting[0]
    return found


def _refuse_incomplete(root: Path, form: str, names: dict[str, str], num_columns: int) -> NoReturn:
    found = _find_all(root, names, num_columns)
    missing = ", ".join(name for part, name in names.items() if part not in found)
    raise DataError(
        f"{root} lacks {missing} with {_columns(num_columns)} on each line, in it or in its sub-folder lists. The "
        f"{form} split needs {', '.join(names.values())}. Add what is missing, or split without lists: --set "
        "data.lists=none"
    )


def _count_columns(path: Path) -> int:
    """Columns of the first line that has any."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return next((len(line.split()) for line in file if line.strip()), 0)


def _read_list(path: Path, num_labels: int) -> pd.DataFrame:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file (UTF-8). Get it again.") from error
    numbered = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    wrong = next(((number, words) for number, words in numbered if len(words) != num_labels + 1), None)
    if wrong:
        raise DataError(
            f"Line {wrong[0]} of {path} has {_columns(len(wrong[1]))}, but it must have {_columns(num_labels + 1)}: "
            f"the image's name{f' and {num_labels} labels' if num_labels else ''}."
        )
    table = pd.DataFrame({"name": [words[0].replace("\\", "/").rpartition("/")[2] for _, words in numbered]})
    words = np.array([words[1:] for _, words in numbered], dtype=str).reshape(len(numbered), num_labels)
    is_one, is_zero = words == "1", words == "0"
    if not (is_one | is_zero).all():
        row, column = np.argwhere(~(is_one | is_zero))[0]
        raise DataError(
            f"Line {numbered[row][0]} of {path} has the label {str(words[row, column])!r}, but it must be 0 or 1."
        )
    labels = pd.DataFrame(is_one.astype(float), columns=range(num_labels))
    return pd.concat([table, labels], axis=1)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
