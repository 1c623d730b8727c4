"""The rows of a sheet of an Excel workbook as text; formulas give the value that was saved, macros never run. Light."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medpeft_core.datasets.own.parquet_tables import write_cell
from medpeft_core.errors import DataError

MAX_UNPACKED_BYTES = 1 << 30  # of all parts of the workbook together
MAX_RATIO = 400  # sheets of a few repeated words are deflated to a hundredth
RATIO_FREE_BYTES = 32 << 20
_HEAD_BYTES = 4096
# what openpyxl and its parsers raise on damaged parts; a ParseError is a SyntaxError
_UNREADABLE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, SyntaxError, EOFError, RuntimeError,
    OverflowError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_workbook(path: Path, sheet: str, notes: list[str]) -> tuple[Iterator[tuple[int, list[str]]], tuple[str, ...]]:
    """The rows of one sheet with their numbers, and the names of all sheets.

    Args:
        path: an .xlsx or .xlsm file.
        sheet: its name; "": the first with two rows or more.
        notes: gets a sentence where there are several.

    Raises:
        DataError: no workbook, protected by a password, too large, or no such sheet.
    """
    import openpyxl

    _check(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an Excel workbook ({error}). Save it anew, or as CSV.") from error
    names = tuple(item.title for item in book.worksheets)
    if sheet and sheet not in names:
        raise DataError(f"{path} has no sheet {sheet!r} (data.sheet). Choose: {', '.join(names)}.")
    chosen = sheet or next((name for name in names if _has_rows(book[name])), "")
    if not chosen:
        raise DataError(f"No sheet of {path} holds a table. Put the column names into the first row.")
    if len(names) > 1 and not sheet:
        notes.append(f"{path.name} has {len(names)} sheets; {chosen!r} was read (data.sheet).")
    return _read_rows(path, book, chosen), names


def _read_rows(path: Path, book: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    try:
        for number, row in enumerate(book[name].iter_rows(values_only=True), start=1):
            cells = [write_cell(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            yield number, cells
    except _UNREADABLE as error:
        raise DataError(f"The sheet {name!r} of {path} cannot be read ({error}). Save it anew, or as CSV.") from error
    finally:
        book.close()


def _has_rows(sheet: Any) -> bool:
    filled = (row for row in sheet.iter_rows(max_row=50, values_only=True) if any(cell is not None for cell in row))
    return sum(1 for _, _ in zip(range(2), filled, strict=False)) == 2


def _check(path: Path) -> None:
    """Hold the claims of the zip that a workbook is against what an honest one holds.

    Raises:
        DataError: see `read_workbook`.
    """
    with path.open("rb") as file:
        if file.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            raise DataError(
                f"{path} is protected by a password, or is an old Excel file (.xls). Save it as .xlsx without a "
                "password, or as CSV."
            )
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            total, packed = sum(item.file_size for item in parts), sum(item.compress_size for item in parts)
            heads = [archive.open(item).read(_HEAD_BYTES) for item in parts if item.filename.endswith(".xml")]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(f"{path} is no Excel workbook, or is damaged ({error}). Save it anew, or as CSV.") from error
    if total > MAX_UNPACKED_BYTES or total > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
        raise DataError(
            f"{path} claims to hold {total:,} bytes in {packed:,}, as no honest workbook does. Save the table as CSV."
        )
    if any(b"<!DOCTYPE" in head or b"<!ENTITY" in head for head in heads):
        raise DataError(f"{path} declares entities, which no workbook of Excel does. Save the table as CSV.")
