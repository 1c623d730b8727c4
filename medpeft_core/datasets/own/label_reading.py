"""From the label columns of a table to targets of 0, 1 and not known. Light.

Columns of 0 and 1 are read by `flag_columns.py`.
"""

from collections import Counter

import numpy as np
import pandas as pd

from medpeft_core.datasets.own.cells import (
    NO_FINDING,
    fold_words,
    is_blank,
    natural_key,
    parse_whole,
    quote,
)
from medpeft_core.datasets.own.column_facts import ColumnFacts, split_findings
from medpeft_core.datasets.own.flag_columns import read_flags
from medpeft_core.datasets.own.guessing import MAX_CLASSES, kind_of_labels
from medpeft_core.datasets.own.label_table import (
    LabelTable,
    check_classes,
    name_labels,
    order_grades,
)
from medpeft_core.datasets.own.options import NONE, TableOptions, join_names
from medpeft_core.datasets.own.spellings import merge_spellings
from medpeft_core.datasets.own.tables import RawTable
from medpeft_core.errors import DataError

_SHOWN = 5


def read_labels(raw: RawTable, columns: list[str], options: TableOptions) -> LabelTable:
    """The targets of a table.

    Args:
        raw: the table.
        columns: its label columns, in the order of the labels.
        options: `label_form`, `separator`, `uncertain`, `blank`, `ordered`.

    Raises:
        DataError: a cell does not fit, named by its line; one class only; too many classes; no label columns; or
            `ordered` does not fit.
    """
    labels = _read_labels(raw, columns, options)
    if options.ordered not in ("", NONE) and labels.task != "multiclass":
        raise DataError(
            f"data.ordered is {quote(options.ordered)}, but an image may have any number of the labels "
            f"{', '.join(labels.labels[:_SHOWN])}, so these are no grades. Leave it empty, or choose one column of "
            "grades (data.labels)."
        )
    return labels


def _read_labels(raw: RawTable, columns: list[str], options: TableOptions) -> LabelTable:
    if not columns:
        raise DataError(
            f"No column of {raw.path} looks like labels. Name them with --set data.labels=NAME, several parted by "
            "commas."
        )
    facts = [ColumnFacts.of(raw.frame[name]) for name in columns]
    form = options.label_form
    if form == "auto":
        form = "binary" if len(columns) > 1 or facts[0].is_flags else kind_of_labels(facts[0])
        if options.ordered not in ("", NONE) and len(columns) == 1:
            form = "class"
        if options.separator and len(columns) == 1:
            form = "list"
    if form == "list":
        if len(columns) > 1:
            raise DataError(f"data.label_form=list takes one column of labels, not {len(columns)}: choose one.")
        return _read_lists(raw, facts[0], options)
    if form == "class" and len(columns) == 1:
        return read_classes(raw.frame[columns[0]], options.ordered, f"The column {columns[0]!r} of {raw.path}")
    return read_flags(raw, facts, options, must_be_exclusive=form == "class")


def read_classes(texts: "pd.Series[str]", ordered: str, where: str, *, has_blanks: bool = True) -> LabelTable:
    """One class of several from a column of text.

    Args:
        texts: the class of each row.
        ordered: the option of that name.
        where: begins messages: "The column 'dx' of table.csv".
        has_blanks: rows with an empty cell, "nan" and the like are left out; folders may have any name.

    Raises:
        DataError: one class only, too many, measurements, or `ordered` does not fit.
    """
    blank = texts.map({text: has_blanks and is_blank(text) for text in texts.unique()}).to_numpy(dtype=bool)
    count = int(blank.sum())
    left_out = (
        "1 row has no class; it was left out." if count == 1 else f"{count} rows have no class; they were left out."
    )
    notes = [left_out] if count else []
    kept = _write_whole(texts[~blank])
    kept = kept.map(merge_spellings(Counter(kept), notes, what="classes"))
    found = sorted((str(text) for text in kept.unique()), key=natural_key)
    check_classes(found, where)
    grades = order_grades(found, ordered, where)
    classes = grades or found
    if not grades and not ordered and (whole := _fill_gap(found)):
        notes.append(f"The classes {', '.join(found)} have a gap; if they are grades, set data.ordered={whole}.")
    if grades and not ordered:
        notes.append(f"The classes were taken for grades: {', '.join(grades)} (data.ordered).")
    codes = pd.Categorical(kept, categories=classes).codes
    targets = np.zeros((len(kept), len(classes)), dtype=np.float32)
    targets[np.arange(len(kept)), codes] = 1
    frame = pd.DataFrame(targets, index=kept.index, columns=name_labels(classes, notes))
    return LabelTable(targets=frame, task="multiclass", form="class", is_ordered=bool(grades), notes=tuple(notes))


def _fill_gap(classes: list[str]) -> str:
    """All grades, parted by commas, where classes are whole numbers from 0 or 1 of which some are missing; else ""."""
    numbers = [parse_whole(name) for name in classes]
    known = {number for number in numbers if number is not None}
    if len(known) < max(3, len(classes)) or min(known) not in (0, 1) or max(known) > 10:
        return ""
    return ",".join(map(str, range(min(known), max(known) + 1)))


def _write_whole(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Classes 0.0 and 1.0, as programs write whole numbers beside empty cells, without their decimals."""
    whole = {text: parse_whole(text) for text in texts.unique()}
    if None in whole.values():
        return texts
    return texts.map({text: str(number) if "." in text or "," in text else text for text, number in whole.items()})


def _read_lists(raw: RawTable, facts: ColumnFacts, options: TableOptions) -> LabelTable:
    separator = options.separator or facts.separator or "|"
    texts = raw.frame[facts.name]
    codes, distinct = pd.factorize(texts)
    parts = [[] if is_blank(text) else split_findings(text, separator) for text in distinct]
    found = [[part for part in items if fold_words(part) not in NO_FINDING] for items in parts]
    counts: Counter[str] = Counter()
    for text, items in zip(distinct, found, strict=True):
        counts.update(dict.fromkeys(items, facts.counts.get(text, 0)))
    notes = [f"The column {facts.name!r} was read as lists of findings, parted by {separator!r}."]
    spelled = merge_spellings(counts, notes, what="findings")
    labels = sorted(set(spelled.values()), key=natural_key)
    where = f"The column {facts.name!r} of {raw.path}"
    if not labels:
        raise DataError(
            f"{where} holds no finding but {join_names(facts.values[:_SHOWN])}, so there is nothing to learn."
        )
    if len(labels) > MAX_CLASSES:
        raise DataError(
            f"{where} holds {len(labels):,} different findings parted by {separator!r}; at most {MAX_CLASSES:,} are "
            "learned. Choose another column or separator (data.separator)."
        )
    at = {label: column for column, label in enumerate(labels)}
    targets = np.zeros((len(distinct), len(labels)), dtype=np.float32)
    for row, items in enumerate(found):
        targets[row, [at[spelled[part]] for part in items]] = 1
    is_blank_cell = np.array([is_blank(text) for text in distinct])
    num_blank = int(is_blank_cell[codes].sum())
    keep = np.ones(len(texts), dtype=bool)
    if num_blank and options.blank == "ignore":
        keep = ~is_blank_cell[codes]
        notes.append(f"{num_blank} rows have an empty list; they were left out.")
    elif num_blank:
        notes.append(f"{num_blank} rows have an empty list; they count as rows without a finding.")
    frame = pd.DataFrame(targets[codes], index=texts.index, columns=name_labels(labels, notes))[keep]
    return LabelTable(targets=frame, task="multilabel", form="list", separator=separator, notes=tuple(notes))
