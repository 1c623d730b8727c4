"""Who is train, val and test in own data: what a column or folders say, completed where a part is missing. Light."""

import pandas as pd

from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.datasets.own.cells import SPLIT_WORDS, fold_words, is_blank, parse_flag, parse_whole
from medpeft_core.datasets.own.tables import RawTable
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

ADVICE = "Name another column of splits, or none with data.split_column=-."
EMPTY_SPLIT = "No image is in "
_EIGHTH, _FIFTH = (7 / 8, 1 / 8, 0.0), (8 / 10, 0.0, 2 / 10)


def read_splits(raw: RawTable, column: str, notes: list[str]) -> pd.Series:
    """Split of each row as a column of the table tells; missing where its cell is empty.

    Words (train, valid, dev, holdout ...), 0 and 1 of a column such as is_test, or numbers of folds, of which the
    highest is test and the next one val.

    Raises:
        DataError: a cell means no split; names the line.
    """
    texts = raw.frame[column]
    meanings = {text: _parse_split(text) for text in texts.unique()}
    if any(value is None and not is_blank(text) for text, value in meanings.items()):
        meanings = _parse_numbers(raw, column, notes)
    return texts.map(meanings).astype(object).where(texts.map(meanings).notna(), None)


def complete_split(
    table: pd.DataFrame, *, seed: int, notes: list[str], source: str, advice: str = ADVICE
) -> pd.DataFrame:
    """The rows that have a split, with a val and a test part in any case.

    Args:
        table: `split` (missing where nothing says), `patient_id` and `image` of each row.
        seed: of what is drawn here.
        notes: gets sentences on what was done.
        source: what told the splits: "the column 'set'" or "the folders"; "" where nothing did.
        advice: what to do where it puts no image into train.

    Raises:
        DataError: no image is in train.
    """
    patients = table["patient_id"].fillna(table["image"]).to_numpy(dtype=str)
    by = "patient" if table["patient_id"].notna().all() else "image"
    if not source:
        table = table.assign(split=split_by_patient(patients, seed=seed))
        notes.append(f"Split by {by}, 70/10/20, seed {seed}.")
        _tell_empty(table, notes)
        return table
    known = table["split"].notna().to_numpy()
    if not known.all():
        notes.append(f"{int((~known).sum())} images are in no split ({source}); they were left out.")
        table, patients = table[known].copy(), patients[known]
    found = [name for name in SPLITS if (table["split"] == name).any()]
    if "train" not in found:
        raise DataError(
            f"No image is in train: {source} put all {len(table)} into {' and '.join(found) or 'no split'}. {advice}"
        )
    notes.append(f"Split into {', '.join(found)} by {source}.")
    for name, fractions, share in (("test", _FIFTH, "a fifth"), ("val", _EIGHTH, "an eighth")):
        if name in found:
            continue
        is_train = (table["split"] == "train").to_numpy()
        table.loc[is_train, "split"] = split_by_patient(patients[is_train], seed=seed, fractions=fractions)
        notes.append(f"{name} is {share} of train by {by}, seed {seed}; {source} gave none.")
    _tell_empty(table, notes)
    return table


def _tell_empty(table: pd.DataFrame, notes: list[str]) -> None:
    """A sentence where too few patients leave a split without images."""
    empty = [name for name in SPLITS if not (table["split"] == name).any()]
    if empty:
        num_patients = table["patient_id"].nunique()
        who = f"{num_patients} patients" if num_patients else f"{len(table)} images"
        notes.append(f"{EMPTY_SPLIT}{' and '.join(empty)}: {who} are too few. Add some, or no run can use the set.")


def _parse_split(text: str) -> str | None:
    return SPLIT_WORDS.get(fold_words(text))


def _parse_numbers(raw: RawTable, column: str, notes: list[str]) -> dict[str, str | None]:
    """Meanings of the cells of a column that does not hold words of splits."""
    texts = [str(text) for text in raw.frame[column].unique()]
    filled = [text for text in texts if not is_blank(text)]
    words = fold_words(column).removeprefix("is ").removeprefix("in ").removesuffix(" set")
    named = SPLIT_WORDS.get(words)
    flags = {text: parse_flag(text) for text in filled}
    if named and all(value in (0.0, 1.0) for value in flags.values()):
        other = "test" if named == "train" else "train"
        return {text: (named if flags[text] == 1 else other) if text in flags else None for text in texts}
    numbers = {text: parse_whole(text) for text in filled}
    known = sorted({number for number in numbers.values() if number is not None})
    if None not in numbers.values() and 2 <= len(known) <= 20:
        val = known[-2] if len(known) > 2 else None
        told = f"{known[-1]} is test" + (f", {val} is val" if val is not None else "")
        notes.append(f"The column {column!r} numbers folds: {told}, the others are train.")
        parts: dict[int, str] = {known[-1]: "test"} | ({val: "val"} if val is not None else {})
        return {text: parts.get(numbers[text] or 0, "train") if text in numbers else None for text in texts}
    odd = next(text for text in filled if _parse_split(text) is None)
    line = raw.frame.index[(raw.frame[column] == odd).to_numpy()].tolist()[0]
    raise DataError(
        f"{raw.place.capitalize()} {line} of {raw.path} has {odd!r} in the column {column!r}, which is no split: "
        "train, "
        "val or test, or numbers of folds. Mend it, empty "
        "the cell to leave the row out, or name another column (data.split_column, - for none)."
    )
