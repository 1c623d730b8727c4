"""Texts of people and data sets, made harmless for a model card: no Markdown, HTML or folders of a machine. Light."""

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"([\\`*_\[\]|#~$!])")
_FOLDER = re.compile(
    r"(?<![\w.:/\\])(?:[A-Za-z]:[\\/]|~[\\/]|/|\\\\)(?:[^\s'\"<>|,;()\\/]+[\\/]+)+([^\s'\"<>|,;()\\/]*)"
)
_NO_NUMBER = "not known"


def plain(text: object) -> str:
    """One line that Markdown and HTML show as it is, with folders of a machine taken off the names of files."""
    line = hide_folders(" ".join(str(text).split()))
    line = "".join(char for char in line if char.isprintable())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def hide_folders(text: str) -> str:
    """The text with "/home/ann/films/list.txt" as ".../list.txt"; addresses on the web stay."""
    return _FOLDER.sub(r".../\1", text)


def show_number(value: object, digits: int | None = None) -> str:
    """A number of a file, or that it does not exist."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NO_NUMBER
    if digits is not None:
        return f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def show_interval(value: object, low: object, high: object) -> str:
    """ "0.747 (0.726 to 0.769)", or "n/a" where there is no value."""
    if not isinstance(value, int | float):
        return "n/a"
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return f"{value:.3f} (no interval)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def build_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of cells that are harmless already."""
    names = list(columns)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
