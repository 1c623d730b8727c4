"""From the label columns of a table to targets of 0, 1 and not known. Light."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import FIXED_COLUMNS, OPTIONAL_COLUMNS
from medpeft_core.datasets.own.cells import (
    NO_FINDING,
    SPLIT_WORDS,
    fold_words,
    is_blank,
    natural_key,
    parse_flag,
    parse_whole,
    rank_grades,
)
from medpeft_core.datasets.own.column_facts import MOSTLY, ColumnFacts, split_findings
from medpeft_core.datasets.own.guessing import MAX_CLASSES, kind_of_labels
from medpeft_core.datasets.own.options import NONE, TableOptions, join_names, split_names
from medpeft_core.datasets.own.tables import RawTable
from medpeft_core.errors import DataError

RESERVED = frozenset((*FIXED_COLUMNS, *OPTIONAL_COLUMNS))
MAX_LABEL = 200  # characters
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Targets of the rows that have a label.

    Attributes:
        targets: float32 with 0, 1 or NaN, a column for each label; indexed as the table, without rows to leave out.
        task: "multilabel" or "multiclass".
        is_ordered: the classes are grades, the mildest first.
        form: "binary", "class" or "list": how the columns were read.
        separator: of a list.
        notes: sentences on how they were read.
    """

    targets: pd.DataFrame
    task: str
    form: str
    is_ordered: bool = False
    separator: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """In their order."""
        return tuple(str(name) for name in self.targets.columns)


def read_labels(raw: RawTable, columns: list[str], options: TableOptions) -> LabelTable:
    """The targets of a table.

    Args:
        raw: the table.
        columns: its label columns, in the order of the labels.
        options: `label_form`, `separator`, `uncertain`, `blank`, `ordered`.

    Raises:
        DataError: a cell does not fit, named by its line; one class only; too many classes; or no label columns.
    """
    if not columns:
        raise DataError(
            f"No column of {raw.path} looks like labels. Name them with --set data.labels=NAME, several parted by "
            "commas."
        )
    facts = [ColumnFacts.of(raw.frame[name]) for name in columns]
    form = options.label_form
    if form == "auto":
        form = "binary" if len(columns) > 1 or facts[0].is_flags else kind_of_labels(facts[0])
        if options.separator and len(columns) == 1:
            form = "list"
    if form == "list":
        if len(columns) > 1:
            raise DataError(f"data.label_form=list takes one column of labels, not {len(columns)}: choose one.")
        return _read_lists(raw, facts[0], options)
    if form == "class" and len(columns) == 1:
        return read_classes(raw.frame[columns[0]], options.ordered, f"The column {columns[0]!r} of {raw.path}")
    return _read_flags(raw, facts, options, must_be_exclusive=form == "class")


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
    notes = [f"{int(blank.sum())} rows have no class; they were left out."] if blank.any() else []
    kept = _write_whole(texts[~blank])
    found = sorted((str(text) for text in kept.unique()), key=natural_key)
    _check_classes(found, where)
    grades = _order_grades(found, ordered, where)
    classes = grades or found
    if grades and not ordered:
        notes.append(f"The classes were taken for grades: {', '.join(grades)} (data.ordered).")
    codes = pd.Categorical(kept, categories=classes).codes
    targets = np.zeros((len(kept), len(classes)), dtype=np.float32)
    targets[np.arange(len(kept)), codes] = 1
    frame = pd.DataFrame(targets, index=kept.index, columns=_name_labels(classes, notes))
    return LabelTable(targets=frame, task="multiclass", form="class", is_ordered=bool(grades), notes=tuple(notes))


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
    labels = sorted({part for items in found for part in items}, key=natural_key)
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
        targets[row, [at[part] for part in items]] = 1
    is_blank_cell = np.array([is_blank(text) for text in distinct])
    notes = [f"The column {facts.name!r} was read as lists of findings, parted by {separator!r}."]
    num_blank = int(is_blank_cell[codes].sum())
    keep = np.ones(len(texts), dtype=bool)
    if num_blank and options.blank == "ignore":
        keep = ~is_blank_cell[codes]
        notes.append(f"{num_blank} rows have an empty list; they were left out.")
    elif num_blank:
        notes.append(f"{num_blank} rows have an empty list; they count as rows without a finding.")
    frame = pd.DataFrame(targets[codes], index=texts.index, columns=_name_labels(labels, notes))[keep]
    return LabelTable(targets=frame, task="multilabel", form="list", separator=separator, notes=tuple(notes))


def _read_flags(
    raw: RawTable, facts: list[ColumnFacts], options: TableOptions, *, must_be_exclusive: bool
) -> LabelTable:
    values = np.column_stack([_parse_column(raw, item) for item in facts])
    notes: list[str] = []
    uncertain, blank = values == -1, np.isnan(values)
    is_exclusive = values.shape[1] > 1 and bool(((values == 1).sum(axis=1) == 1).all() and not uncertain.any())
    names = [item.name for item in facts]
    if must_be_exclusive or (is_exclusive and options.label_form == "auto" and not blank.any()):
        if not is_exclusive:
            row = int(np.flatnonzero((values == 1).sum(axis=1) != 1)[0]) if not uncertain.any() else 0
            raise DataError(
                f"{raw.place.capitalize()} {raw.frame.index[row]} of {raw.path} is 1 in "
                f"{int((values[row] == 1).sum())} "
                f"of the columns {', '.join(names[:_SHOWN])}, but data.label_form=class needs exactly one. Choose "
                "binary."
            )
        if options.label_form != "class":
            notes.append("Exactly one label column is 1 in every row, so they were read as classes (data.label_form).")
        return _order_columns(raw, values == 1, names, options, notes)
    values = np.where(uncertain, {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}[options.uncertain], values)
    values = np.where(blank, {"zeros": 0.0, "ignore": np.nan}[options.blank], values)
    if uncertain.any():
        became = {"zeros": "0", "ones": "1", "ignore": "not known"}[options.uncertain]
        notes.append(f"{int(uncertain.sum()):,} uncertain labels (-1) count as {became} (data.uncertain).")
    if blank.any():
        became = {"zeros": "0", "ignore": "not known"}[options.blank]
        notes.append(f"{int(blank.sum()):,} empty label cells count as {became} (data.blank).")
    frame = pd.DataFrame(values.astype(np.float32), index=raw.frame.index, columns=_name_labels(names, notes))
    return LabelTable(targets=frame, task="multilabel", form="binary", notes=tuple(notes))


def _order_columns(
    raw: RawTable, is_one: np.ndarray, names: list[str], options: TableOptions, notes: list[str]
) -> LabelTable:
    """Classes given as columns of which exactly one is 1."""
    used = [name for column, name in enumerate(names) if is_one[:, column].any()]
    _check_classes(used, f"The label columns of {raw.path}")
    grades = _order_grades(names, options.ordered, f"The label columns of {raw.path}")
    frame = pd.DataFrame(is_one.astype(np.float32), index=raw.frame.index, columns=names)[grades or names]
    frame.columns = pd.Index(_name_labels(grades or names, notes))
    return LabelTable(targets=frame, task="multiclass", form="class", is_ordered=bool(grades), notes=tuple(notes))


def _parse_column(raw: RawTable, facts: ColumnFacts) -> np.ndarray:
    """(N,) 1, 0, -1 for uncertain, NaN for empty."""
    column = raw.frame[facts.name]
    parsed = {text: parse_flag(text) for text in column.unique()}
    odd = [text for text, value in parsed.items() if value is None]
    if odd:
        line = column.index[(column == odd[0]).to_numpy()].tolist()[0]
        is_class = facts.flag_share < MOSTLY
        advice = (
            f"It seems to hold classes; give it alone as data.labels={join_names([facts.name])}, or leave it out."
            if is_class
            else f"Mend that cell{'' if len(odd) == 1 else f' and {len(odd) - 1} others like it'}, or leave the "
            "column out."
        )
        raise DataError(
            f"{raw.place.capitalize()} {line} of {raw.path} has {odd[0]!r} in the label column {facts.name!r}, but 0, "
            "1, "
            f"-1 (uncertain) or an empty cell is due. {advice}"
        )
    return column.map(parsed).to_numpy(dtype=np.float32)


def _check_classes(classes: list[str], where: str) -> None:
    if not classes:
        raise DataError(f"{where} names no class at all. Choose other labels.")
    if len(classes) == 1:
        raise DataError(
            f"{where} has one class only, {classes[0]!r}, so there is nothing to tell apart. Add images of another "
            "class, "
            "or choose other labels."
        )
    splits = {split: name for name in classes if (split := SPLIT_WORDS.get(fold_words(name)))}
    if "train" in splits and len(splits) > 1:
        raise DataError(
            f"{where} has the classes {' and '.join(splits.values())}, but these are splits, no classes. Choose other "
            "labels; folders of splits belong above those of the classes, as in train/normal/1.png."
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"{where} has {len(classes):,} classes; at most {MAX_CLASSES:,} are learned. It may be a number or a name "
            "of "
            "each image; choose other labels."
        )


def _order_grades(found: list[str], ordered: str, where: str) -> list[str] | None:
    """The classes in the order that was asked for, or that their names tell; None where they are no grades."""
    if ordered == NONE:
        return None
    if not ordered:
        return rank_grades(tuple(found))
    wanted = split_names(ordered)
    missing, unknown = [name for name in found if name not in wanted], [name for name in wanted if name not in found]
    if missing or unknown or len(set(wanted)) < len(wanted):
        raise DataError(
            f"{where} has the classes {', '.join(found[:20])}, but data.ordered is {ordered!r}. Name each class once, "
            "the mildest first."
        )
    return wanted


def _name_labels(names: list[str], notes: list[str]) -> list[str]:
    """Labels under names that the manifest has not taken for itself; a note tells of those that were changed."""
    taken: set[str] = set()
    found = []
    for name in names:
        plain = "".join(character for character in " ".join(name.split()) if character.isprintable())[:MAX_LABEL]
        changed = f"{plain} (label)" if plain in RESERVED else plain
        while changed in taken:
            changed += "'"
        taken.add(changed)
        found.append(changed)
        if changed != plain:
            notes.append(f"The label {plain!r} is called {changed!r}: its own name is taken.")
    return found
