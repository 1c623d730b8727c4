"""The rows of a Parquet file as text. Light."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medpeft_core.errors import DataError

MAX_ROWS = 5_000_000
MAX_UNPACKED_BYTES = 4 << 30


def read_parquet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(0, column names), then (number of the row from 1, its cells).

    Raises:
        DataError: no Parquet file, too large, or columns that hold lists or bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check(path, file)
            yield 0, [str(name) for name in file.schema_arrow.names]
            number = 0
            for batch in file.iter_batches(batch_size=65536):
                columns = [[write_cell(value) for value in column.to_pylist()] for column in batch.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    yield number, list(row)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is no Parquet file, or is damaged: {error}. Get the file again.") from error


def write_cell(value: Any) -> str:
    """A cell of a typed table as people would write it: whole numbers without ".0", dates as 2019-03-31."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return str(value)


def _check(path: Path, file: Any) -> None:
    import pyarrow as pa

    facts = file.metadata
    unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
    if facts.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED_BYTES:
        raise DataError(
            f"{path} claims {facts.num_rows:,} rows in {unpacked:,} bytes; at most {MAX_ROWS:,} rows in "
            f"{MAX_UNPACKED_BYTES:,} bytes are read. Leave out what is no label, such as pixels."
        )
    for item in file.schema_arrow:
        if pa.types.is_nested(item.type) or pa.types.is_binary(item.type) or pa.types.is_large_binary(item.type):
            raise DataError(
                f"The column {item.name!r} of {path} holds {item.type}, but columns of text and numbers are read. "
                "Leave "
                "it out, or write it as text."
            )
