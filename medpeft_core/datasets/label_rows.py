"""Rows of label tables: one for each image, and classes as one column a class. Reading the tables is left to others."""

from pathlib import Path

import pandas as pd

from medpeft_core.errors import DataError


def keep_agreeing_rows(
    path: Path, table: pd.DataFrame, key: str, columns: tuple[str, ...], notes: list[str]
) -> pd.DataFrame:
    """The first row of each image, and a note where rows were repeated.

    Args:
        path: of the table, for messages.
        table: indexed by line number.
        key: column that names the image.
        columns: what all rows of an image must agree in.
        notes: gets a sentence on rows left out.

    Raises:
        DataError: two rows of an image disagree; names both lines and values.
    """
    first = table.drop_duplicates(key)
    repeated = table[table[key].duplicated()]
    if repeated.empty:
        return first
    told = first.set_index(key)
    for column in columns:
        before: pd.Series = repeated[key].map(told[column])
        differs = (repeated[column] != before) & ~(repeated[column].isna() & before.isna())
        if differs.any():
            line = repeated.index[differs.to_numpy()].tolist()[0]
            name = repeated.at[line, key]
            other = first.index[(first[key] == name).to_numpy()].tolist()[0]
            raise DataError(
                f"Lines {other} and {line} of {path} disagree on {column} of {name!r}: {before[line]!r} and "
                f"{repeated.at[line, column]!r}. Keep one of them."
            )
    notes.append(f"Rows of the label table that repeat an image ({len(repeated)}) were left out.")
    return first


def encode_classes(path: Path, codes: pd.Series, labels: dict[str, str], *, column: str) -> pd.DataFrame:
    """One float column a label, 1.0 where a row is of that class.

    Args:
        path: of the table, for messages.
        codes: the classes as the table writes them, in any case; indexed by line number.
        labels: code in lower case -> label; several codes may share a label.
        column: where the codes come from, for messages.

    Raises:
        DataError: names line and value of the first unknown code.
    """
    found = codes.str.lower().map(labels)
    if found.isna().any():
        line = found.index[found.isna().to_numpy()].tolist()[0]
        raise DataError(f"Line {line} of {path} has {column} {codes[line]!r}. Known: {', '.join(labels)}.")
    names = dict.fromkeys(labels.values())
    return pd.DataFrame({name: (found == name).astype(float) for name in names}, index=codes.index)


def note_unlisted(count: int, notes: list[str]) -> None:
    """A sentence on image files that no row of the label table names."""
    if count:
        files = "1 image file on disk is" if count == 1 else f"{count} image files on disk are"
        notes.append(f"{files} not in the label table and {'was' if count == 1 else 'were'} left out.")
