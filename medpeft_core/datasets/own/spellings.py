"""One spelling for names that differ only in small and capital letters, blanks or Unicode form. Light."""

from collections.abc import Mapping

from medpeft_core.datasets.own.cells import fold_case, quote

_SHOWN = 5


def merge_spellings(counts: Mapping[str, int], notes: list[str], *, what: str) -> dict[str, str]:
    """Name -> the spelling that most use; of equals the first in the alphabet.

    Args:
        counts: name -> number of its rows.
        notes: gets a sentence on names that were merged.
        what: the names are: "classes" or "findings".
    """
    groups: dict[str, list[str]] = {}
    for name in counts:
        groups.setdefault(fold_case(name), []).append(name)
    chosen: dict[str, str] = {}
    merged = []
    for names in groups.values():
        first, *others = sorted(names, key=lambda name: (-counts[name], name))
        chosen |= dict.fromkeys(names, first)
        merged += [f"{quote(name)} into {quote(first)}" for name in others]
    if merged:
        shown = ", ".join(merged[:_SHOWN]) + (", ..." if len(merged) > _SHOWN else "")
        notes.append(f"{what.capitalize()} that differ in capital letters or blanks only are one: {shown}.")
    return chosen
