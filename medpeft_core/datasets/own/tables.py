"""Tables that people bring, in whatever form they were saved, as text by line number; what the text means is not
decided here. Light."""

import contextlib
import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.datasets.own.encodings import decode_text
from medpeft_core.errors import DataError

MAX_BYTES = 2 << 30
HEAD_BYTES = 1 << 20
MAX_ROWS = 5_000_000
MAX_COLUMNS = 5000
MAX_CELL = 1 << 20  # characters
DELIMITERS = (",", ";", "\t", "|")
_WORKBOOKS = (".xlsx", ".xlsm")
_SAMPLE_LINES = 60
_SHOWN = 5
_LOOKED_AT, _MAX_TITLES = 30, 5  # rows at the begin, and how many of them may stand above the names of columns
_ROWS_AT_ONCE, _MOST_SHARED = 20_000, 100_000
_OTHERS = {
    ".xls": "Save it as .xlsx or CSV.", ".ods": "Save it as .xlsx or CSV.", ".json": "Save it as CSV.",
    ".sav": "Save it as CSV.", ".dta": "Save it as CSV.", ".rds": "Save it as CSV.", ".pkl": "Save it as CSV.",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A table as text.

    Attributes:
        path: of the file.
        frame: a text column for each of the file's, without blanks around; "" for empty cells. Indexed by line number
            (Excel: row number; Parquet: number of the row from 1).
        notes: sentences on how it was read.
        sheets: names of the sheets of a workbook; empty for other files.
    """

    path: Path
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What a line is called in this file."""
        return _place(self.path)


def read_table(path: Path, *, sheet: str = "", encoding: str = "", is_head_only: bool = False) -> RawTable:
    """A CSV file (any separator and encoding), an Excel workbook or a Parquet file.

    Args:
        path: the file; its ending says which of these it is.
        sheet: of a workbook; "": the first that holds a table.
        encoding: of a CSV file; "": found out.
        is_head_only: at most the first million bytes of a CSV file, to find out what it is.

    Raises:
        DataError: the file is no table, holds no rows, or has lines that do not fit its header; says which and what to
            do.
    """
    if not path.is_file():
        raise DataError(f"There is no table {path}. Give the path of a CSV, Excel (.xlsx) or Parquet file.")
    size, ending = path.stat().st_size, path.suffix.lower()
    if size == 0:
        raise DataError(f"The table {path} is empty (0 bytes). Get the file again.")
    if size > MAX_BYTES:
        raise DataError(f"{path} has {size:,} bytes; tables of up to {MAX_BYTES:,} are read. Split it up.")
    if ending in _OTHERS:
        raise DataError(f"{path} cannot be read as a table: {ending} files are not supported. {_OTHERS[ending]}")
    notes: list[str] = []
    sheets: tuple[str, ...] = ()
    if ending in _WORKBOOKS:
        from medpeft_core.datasets.own.workbooks import read_workbook

        rows, sheets = read_workbook(path, sheet, notes)
    elif ending == ".parquet":
        from medpeft_core.datasets.own.parquet_tables import read_parquet_rows

        rows = read_parquet_rows(path)
    else:
        rows = _read_text(path, encoding, notes, HEAD_BYTES if is_head_only else 0)
    return RawTable(path=path, frame=_build_frame(path, rows, notes), notes=tuple(notes), sheets=sheets)


def find_delimiter(lines: list[str]) -> str:
    """The character that parts the cells: the one that gives the most lines the same number of them.

    Lines of one cell above the others are titles.
    """
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        counts: list[int] = []
        with contextlib.suppress(csv.Error):  # it is told where the whole table is read
            counts += (len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width = next((count for count in counts[: _MAX_TITLES + 1] if count > 1), 0)
        if width < 2 or (counts[0] < 2 and 2 * counts.count(width) <= len(counts)):
            continue
        share = sum(count == width for count in counts) / len(counts)
        if (round(share, 2), width) > best_score:
            best, best_score = delimiter, (round(share, 2), width)
    return best


def _read_text(path: Path, encoding: str, notes: list[str], max_bytes: int) -> Iterator[tuple[int, list[str]]]:
    text = decode_text(path, encoding, notes, max_bytes=max_bytes)
    if "\0" in text:
        notes.append(f"{path.name} holds NUL bytes; they were left out.")
        text = text.replace("\0", "")
    skipped = 0
    delimiter = ""
    if text[:4].lower() == "sep=" and text[4:5]:  # Excel's own way to name the separator
        delimiter, skipped = text[4], 1
        text = text.partition("\n")[2]
    csv.field_size_limit(MAX_CELL)
    stream = io.StringIO(text, newline="")
    if not delimiter:
        delimiter = find_delimiter([line for _, line in zip(range(_SAMPLE_LINES), stream, strict=False)])
        stream.seek(0)
    if delimiter != ",":
        shown = {"\t": "tabs", ";": "semicolons", "|": "vertical bars"}.get(delimiter, repr(delimiter))
        notes.append(f"The cells of {path.name} are parted by {shown}.")
    reader = csv.reader(stream, delimiter=delimiter)
    line = 1 + skipped
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"Line {line} of {path} cannot be read as CSV ({error}). A quotation mark may not be closed; mend that "
                "line."
            ) from error
        yield line, row
        line = reader.line_num + 1 + skipped


def _build_frame(path: Path, rows: Iterable[tuple[int, list[str]]], notes: list[str]) -> pd.DataFrame:
    """The first row that is neither empty nor a title is the header; the others are held to its width."""
    numbered = ((line, row) for line, row in rows if any(row) and any(map(str.strip, row)))
    head = list(itertools.islice(numbered, _LOOKED_AT))
    if not head:
        raise DataError(f"The table {path} has no header and no rows. Get the file again.")
    num_titles = _count_titles(path, head)
    if num_titles:
        shown = ", ".join(str(line) for line, _ in head[:num_titles])
        notes.append(f"{path.name} begins with a title ({_place(path)} {shown}); it was passed over.")
    (_, first), *head = head[num_titles:]
    header = _name_columns(path, [cell.strip() for cell in first], notes)
    width = len(header)
    columns: list[list[str]] = [[] for _ in range(width)]
    shared: list[dict[str, str]] = [{} for _ in range(width)]
    lines: list[int] = []
    waiting: list[list[str]] = []
    for line, row in itertools.chain(head, numbered):
        lines.append(line)
        waiting.append(row if len(row) == width else _fit_row(path, line, row, width))
        if len(waiting) == _ROWS_AT_ONCE:
            _add_cells(columns, waiting, shared)
            waiting = []
        if len(lines) > MAX_ROWS:
            raise DataError(f"{path} has more than {MAX_ROWS:,} rows. Split it up.")
    _add_cells(columns, waiting, shared)
    if not lines:
        raise DataError(f"The table {path} has a header but no rows. Get the file again.")
    data = dict(zip(header, columns, strict=True))
    return pd.DataFrame(data, index=pd.Index(lines, dtype="int64"), dtype=object)


def _count_titles(path: Path, head: list[tuple[int, list[str]]]) -> int:
    """Rows above the names of the columns that hold nothing but one cell at their left.

    Args:
        path: of the table.
        head: its first rows that are not empty.

    Raises:
        DataError: the first row names a few columns in between, as merged cells do.
    """
    filled = [[bool(cell.strip()) for cell in row] for _, row in head]
    num_titles = next((number for number, row in enumerate(filled) if sum(row) > 1 or not row[0]), 0)
    below = filled[num_titles:]
    if num_titles > _MAX_TITLES or len(below) < 2 or 2 * sum(sum(row) > 1 for row in below) <= len(below):
        num_titles, below = 0, filled
    first, second = below[0], below[1] if len(below) > 1 else []
    last = max(number for number, is_filled in enumerate(first) if is_filled)
    if not all(first[1:last]) and 1 < sum(first) <= sum(second) / 2:
        place = _place(path)
        raise DataError(
            f"{place.capitalize()} {head[num_titles][0]} of {path} seems to be a title or to have merged cells: "
            f"{sum(first)} of its cells are filled, {sum(second)} of those in {place} {head[num_titles + 1][0]}. Keep "
            "one row with a name for each column, and remove what is above it."
        )
    return num_titles


def _add_cells(columns: list[list[str]], rows: list[list[str]], shared: list[dict[str, str]]) -> None:
    """Append rows to columns, without blanks around; equal cells of a column are one text, which saves memory."""
    for column, cells, known in zip(columns, zip(*rows, strict=True), shared, strict=False):
        for cell in set(cells) - known.keys():
            known[cell] = cell.strip()
        column += [known[cell] for cell in cells]
        if len(known) > _MOST_SHARED:
            known.clear()


def _name_columns(path: Path, names: list[str], notes: list[str]) -> list[str]:
    """Distinct names: an empty one is called by its number, and a second one of a name gets a number."""
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DataError(f"The table {path} has no column names in its first {_place(path)}. Add a header.")
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read. Leave out some.")
    taken: set[str] = set()
    found, doubled = [], []
    for number, name in enumerate(names, start=1):
        wanted = name or f"column {number}"
        unique, count = wanted, 1
        while unique in taken:
            count += 1
            unique = f"{wanted} ({count})"
        if count > 1:
            doubled.append(unique)
        taken.add(unique)
        found.append(unique)
    if doubled:
        notes.append(f"Columns of {path.name} have the same name; they are called {', '.join(doubled)} here.")
    return found


def _fit_row(path: Path, line: int, row: list[str], width: int) -> list[str]:
    """A row without the empty cells that it has too many.

    Raises:
        DataError: it has too few cells, or too many that are not empty.
    """
    if len(row) > width and not any(cell.strip() for cell in row[width:]):
        return row[:width]
    if path.suffix.lower() in _WORKBOOKS:
        return [*row, *[""] * (width - len(row))] if len(row) < width else _refuse_row(path, line, row, width)
    return _refuse_row(path, line, row, width)


def _refuse_row(path: Path, line: int, row: list[str], width: int) -> list[str]:
    few = "too few" if len(row) < width else "too many"
    hint = "It may be cut off." if len(row) < width else "A cell may hold the separator without quotation marks."
    if path.suffix.lower() in _WORKBOOKS:
        raise DataError(
            f"Row {line} of {path} has {len(row)} cells, but only {width} columns have a name. Give each column a name "
            "in the row above the first image; titles stand alone in the first column."
        )
    raise DataError(f"Line {line} of {path} has {len(row)} cells instead of {width}, {few}. {hint} Mend that line.")


def list_lines(lines: list[int], place: str) -> str:
    """Up to five lines for a sentence: "line 3" or "rows 3, 4, 5, 6, 7 ..."."""
    shown = ", ".join(str(line) for line in lines[:_SHOWN]) + (" ..." if len(lines) > _SHOWN else "")
    return f"{place}{'s' if len(lines) > 1 else ''} {shown}"


def _place(path: Path) -> str:
    return "row" if path.suffix.lower() in (*_WORKBOOKS, ".parquet") else "line"
