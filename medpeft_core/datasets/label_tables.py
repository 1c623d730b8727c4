"""The label tables of published data sets as plain data frames of text, with line numbers for what is odd in them.

Tables that people bring themselves, with their own columns, encodings and separators, are read by `own/`.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import pandas as pd

from medpeft_core.datasets.folder_parts import count_content
from medpeft_core.errors import DataError

_NAMED = 2  # places that a message names


def find_table(root: Path, names: tuple[str, ...], *, expected: str) -> Path:
    """The first of some files that lies in a folder.

    Args:
        root: the folder.
        names: paths below it, the preferred one first.
        expected: a sentence on what the folder should hold.

    Raises:
        DataError: none is there; names the folder nearby that holds one, or says how much the folder holds.
    """
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found:
        return found
    below = next((path.parent for name in names for path in sorted(root.glob(f"*/{name}"))), None)
    above = next((place for place in root.parents[:2] for name in names if (place / name).is_file()), None)
    other = below or above
    hint = f"{other} holds one: give that folder." if other else f"{expected} Now it holds {count_content(root)}."
    missing = f"neither {' nor '.join(names[:_NAMED])}" if len(names) > 1 else f"no {names[0]}"
    raise DataError(f"{root} holds {missing}. {hint}")


def read_columns(
    path: Path,
    columns: tuple[str, ...],
    *,
    optional: tuple[str, ...] = (),
    num_following: int = 0,
    delimiter: str = ",",
) -> pd.DataFrame:
    """Some columns of a CSV file as stripped text, indexed by line number.

    Args:
        path: the file, in UTF-8; may be packed as .gz.
        columns: names that must be in its header.
        optional: names that need not; an absent one gives no column.
        num_following: as many columns behind the last of `columns` are added as `following_0` and so on.
        delimiter: what separates the columns; a tab in .tab files.

    Raises:
        DataError: a column is missing, a line is too short, or the file is no table.
    """
    try:
        with _open_text(path) as file:
            header = [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
            missing = [name for name in columns if name not in header]
            if missing:
                found = ", ".join(name for name in header if name) or "none"
                raise DataError(
                    f"{path} lacks the column {', '.join(missing)}. Columns found: {found}. Get the original file."
                )
            at = [header.index(name) for name in columns]
            at += range(at[-1] + 1, at[-1] + 1 + num_following)
            names = [*columns, *(f"following_{number}" for number in range(num_following))]
            present = [name for name in optional if name in header]
            at += [header.index(name) for name in present]
            rows, short = _numbered_rows(file, at, delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV table in UTF-8 ({error}). Get the original file.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged ({error}). Get it again.") from error
    if short is not None:
        raise DataError(
            f"Line {short} of {path} has too few columns; it needs at least {max(at) + 1}. Get the original file."
        )
    lines = list(rows)
    data = {name: [rows[line][place] for line in lines] for place, name in enumerate([*names, *present])}
    return pd.DataFrame(data, index=lines, dtype=str)


def parse_numbers(
    path: Path, table: pd.DataFrame, columns: tuple[str, ...], *, allowed: tuple[float, ...] = ()
) -> pd.DataFrame:
    """Columns of text as float64; empty cells and "nan" become NaN.

    Args:
        path: for messages.
        table: what `read_columns` gave.
        columns: which.
        allowed: the only values that may occur; empty for any.

    Raises:
        DataError: names line, column and value of the first that is no number, or not allowed.
    """
    numbers = pd.DataFrame(index=table.index)
    for name in columns:
        text = table[name]
        values = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
        is_wrong = values.isna() & (text != "") & (text.str.lower() != "nan")
        if allowed:
            is_wrong |= values.notna() & ~values.isin(allowed)
        if is_wrong.any():
            line = is_wrong.index[is_wrong.to_numpy()].tolist()[0]
            wanted = f"one of {', '.join(f'{value:g}' for value in allowed)}, or empty" if allowed else "a number"
            raise DataError(
                f"Line {line} of {path} has {name} {str(text[line])!r}, but it must be {wanted}. Get the original file."
            )
        numbers[name] = values
    return numbers


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _numbered_rows(lines: Iterable[str], at: list[int], delimiter: str) -> tuple[dict[int, list[str]], int | None]:
    """Line number -> the stripped cells at some columns, and the first line that is too short for them."""
    reader = csv.reader(lines, delimiter=delimiter)
    rows: dict[int, list[str]] = {}
    for row in reader:
        if not any(row):
            continue
        line = reader.line_num + 1  # the header was read before
        if len(row) <= max(at):
            return rows, line
        rows[line] = [row[column].strip() for column in at]  # reports in other columns may be long, and are not kept
    return rows, None
