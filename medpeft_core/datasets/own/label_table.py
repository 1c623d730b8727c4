"""Targets with the names of their labels, and the rules that hold for labels of any origin. Light."""

from dataclasses import dataclass

import pandas as pd

from medpeft_core.datasets.manifest import FIXED_COLUMNS, OPTIONAL_COLUMNS
from medpeft_core.datasets.own.cells import SPLIT_WORDS, fold_case, fold_words, rank_grades
from medpeft_core.datasets.own.guessing import MAX_CLASSES
from medpeft_core.datasets.own.options import NONE, split_names
from medpeft_core.errors import DataError

RESERVED = frozenset((*FIXED_COLUMNS, *OPTIONAL_COLUMNS))
MAX_LABEL = 200  # characters


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


def check_classes(classes: list[str], where: str) -> None:
    """Refuse classes that cannot be told apart.

    Args:
        classes: their names.
        where: begins the message: "The folder /data".

    Raises:
        DataError: there are none, one only, too many, or they are called after splits.
    """
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


def order_grades(found: list[str], ordered: str, where: str) -> list[str] | None:
    """The classes in the order that was asked for, or that their names tell; None where they are no grades.

    Args:
        found: the classes that occur.
        ordered: the option of that name.
        where: begins the message.

    Raises:
        DataError: the option does not name the classes.
    """
    if ordered == NONE:
        return None
    if not ordered:
        return rank_grades(tuple(found))
    spelled = {fold_case(name): name for name in found}
    wanted = [name if name in found else spelled.get(fold_case(name), name) for name in split_names(ordered)]
    if set(found) - set(wanted) or len(set(wanted)) < len(wanted):  # grades without an image may be named as well
        raise DataError(
            f"{where} has the classes {', '.join(found[:20])}, but data.ordered is {ordered!r}. Name each class once, "
            "the mildest first."
        )
    return wanted


def name_labels(names: list[str], notes: list[str]) -> list[str]:
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
