"""Label columns that say 0 or 1: a finding each, or classes of which exactly one is 1. Light."""

import numpy as np
import pandas as pd

from medpeft_core.datasets.own.cells import parse_flag, quote
from medpeft_core.datasets.own.column_facts import MOSTLY, ColumnFacts
from medpeft_core.datasets.own.label_table import LabelTable, check_classes, name_labels, order_grades
from medpeft_core.datasets.own.options import TableOptions, join_names
from medpeft_core.datasets.own.tables import RawTable
from medpeft_core.errors import DataError

_SHOWN = 5


def read_flags(
    raw: RawTable, facts: list[ColumnFacts], options: TableOptions, *, must_be_exclusive: bool
) -> LabelTable:
    """Targets of columns of 0, 1, -1 for uncertain, and empty cells.

    Args:
        raw: the table.
        facts: its label columns.
        options: `uncertain`, `blank`, `label_form`, `ordered`.
        must_be_exclusive: the columns are classes, of which exactly one is 1 in every row.

    Raises:
        DataError: a cell does not fit; names its line.
    """
    values = np.column_stack([_parse_column(raw, item) for item in facts])
    notes: list[str] = []
    rows, values = _settle_blanks(raw, values, options.blank, notes)
    uncertain, blank = values == -1, np.isnan(values)
    is_exclusive = values.shape[1] > 1 and bool(((values == 1).sum(axis=1) == 1).all() and not uncertain.any())
    names = [item.name for item in facts]
    if must_be_exclusive or (is_exclusive and options.label_form == "auto" and not blank.any()):
        if not is_exclusive:
            row = int(np.flatnonzero((values == 1).sum(axis=1) != 1)[0]) if not uncertain.any() else 0
            raise DataError(
                f"{raw.place.capitalize()} {rows[row]} of {raw.path} is 1 in "
                f"{int((values[row] == 1).sum())} "
                f"of the columns {', '.join(names[:_SHOWN])}, but data.label_form=class needs exactly one. Choose "
                "binary."
            )
        if options.label_form != "class":
            notes.append("Exactly one label column is 1 in every row, so they were read as classes (data.label_form).")
        is_one = pd.DataFrame((values == 1).astype(np.float32), index=rows, columns=names)
        return _order_columns(is_one, f"The label columns of {raw.path}", options, notes)
    values = np.where(uncertain, {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}[options.uncertain], values)
    if uncertain.any():
        became = {"zeros": "0", "ones": "1", "ignore": "not known"}[options.uncertain]
        notes.append(f"{int(uncertain.sum()):,} uncertain labels (-1) count as {became} (data.uncertain).")
    if blank.any():
        notes.append(f"{int(blank.sum()):,} empty label cells count as not known (data.blank).")
    frame = pd.DataFrame(values.astype(np.float32), index=rows, columns=name_labels(names, notes))
    return LabelTable(targets=frame, task="multilabel", form="binary", notes=tuple(notes))


def _settle_blanks(raw: RawTable, values: np.ndarray, blank: str, notes: list[str]) -> tuple[pd.Index, np.ndarray]:
    """Lines that stay, and their values: NaN only where an empty cell means that nothing is known."""
    is_blank = np.isnan(values)
    if blank == "ignore" or not is_blank.any():
        return raw.frame.index, values
    is_empty = is_blank.all(axis=1)
    says_no = bool((values == 0).any())
    if blank == "zeros" or not says_no:  # where only what is present was written down, empty means absent
        is_empty[:] = False
    elif is_empty.any():
        notes.append(
            f"{int(is_empty.sum()):,} rows have no label at all; they were left out. If empty cells mean 0, set "
            "data.blank=zeros."
        )
    kept, left = values[~is_empty], int(is_blank[~is_empty].sum())
    if left:
        why = "" if says_no or blank == "zeros" else ", as no cell says 0"
        notes.append(f"{left:,} empty label cells count as 0{why} (data.blank).")
    return raw.frame.index[~is_empty], np.nan_to_num(kept, nan=0.0)


def _order_columns(is_one: pd.DataFrame, where: str, options: TableOptions, notes: list[str]) -> LabelTable:
    """Classes given as columns of which exactly one is 1."""
    names = [str(name) for name in is_one.columns]
    check_classes([name for name in names if is_one[name].any()], where)
    classes = order_grades(names, options.ordered, where)
    grades = classes is not None
    frame = is_one.reindex(columns=classes or names, fill_value=np.float32(0))
    frame.columns = pd.Index(name_labels(classes or names, notes))
    return LabelTable(targets=frame, task="multiclass", form="class", is_ordered=grades, notes=tuple(notes))


def _parse_column(raw: RawTable, facts: ColumnFacts) -> np.ndarray:
    """(N,) 1, 0, -1 for uncertain, NaN for empty."""
    column = raw.frame[facts.name]
    parsed = {text: parse_flag(text) for text in column.unique()}
    odd = [text for text, value in parsed.items() if value is None]
    if odd:
        line = column.index[(column == odd[0]).to_numpy()].tolist()[0]
        is_class = facts.flag_share < MOSTLY
        advice = (
            f"It seems to hold classes; give it alone as data.labels={join_names([facts.name])} with "
            "data.label_form=class, or leave it out."
            if is_class
            else f"Mend that cell{'' if len(odd) == 1 else f' and {len(odd) - 1} others like it'}, set "
            "data.label_form=class if the column holds classes or grades, or leave it out."
        )
        raise DataError(
            f"{raw.place.capitalize()} {line} of {raw.path} has {quote(odd[0])} in the label column {facts.name!r}, "
            f"but 0, 1, -1 (uncertain) or an empty cell is due. {advice}"
        )
    return column.map(parsed).to_numpy(dtype=np.float32)
