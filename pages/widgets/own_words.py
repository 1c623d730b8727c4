"""Sentences of the core on own images in the words of the page: its fields instead of settings of the command line."""

import re

from pages.widgets import own_table, settings_form

_ROLES = {"labels": "label", "split_column": "split"}  # settings that the table of columns stands for under other names
_FIELDS = (
    "table", "sheet", "encoding", "patient_pattern", "splits", "label_form", "separator", "uncertain", "blank",
    "ordered", "tag",
)  # fmt: skip
_USED_AS = "in the column Used as"
PHRASES = {
    "Name them with --set data.labels=NAME, several parted by commas.": f"Choose Label {_USED_AS}, for one or several.",
    "Name the column with --set data.image=NAME.": f"Choose Image file {_USED_AS}.",
    "Name one with --set data.table=FILE, or use the data set folder where each class has a folder.": "Give one in the "
    "field Table, or choose A folder per class in the field Read as.",
    "Use it with --set data.table=": "Give it in the field Table: ",
    "Name one with data.table to be told why.": "Choose one in the field Table to be told why.",
    "if so, name it with data.patient.": f"if so, choose Patient {_USED_AS}.",
    "give it alone as data.labels=": f"choose Label {_USED_AS} for it alone: ",
    "data.split_column, - for none": "data.split_column",
}
_NAMES = "|".join(sorted({*own_table.TITLES, *_ROLES, *_FIELDS}, key=len, reverse=True))
_ENDING = r"(?=[.,)]*(?:\s|$))"
_SET = re.compile(rf"\bset data\.({_NAMES})=(\S+?){_ENDING}")
_VALUE = re.compile(rf"(?<![\w/.])data\.({_NAMES})=(\S+?){_ENDING}")
_NAMED = re.compile(rf"\(data\.({_NAMES})\)")


def write_for_page(text: str) -> str:
    """A sentence of the core with the fields of the page where it names settings of the command line.

    Args:
        text: such as "Name another one (data.tag)."; what names no setting stays as it is.
    """
    for words, instead in PHRASES.items():
        text = text.replace(words, instead)
    text = _SET.sub(lambda found: f"set {_name_field(found[1])} to {found[2]}", text)
    text = _VALUE.sub(lambda found: f"{found[2]} in {_name_field(found[1])}", text)
    return _NAMED.sub(lambda found: f"({_name_field(found[1])})", text)


def _name_field(name: str) -> str:
    role = _ROLES.get(name, name)
    if role in own_table.TITLES:
        return f"{own_table.TITLES[role]} {_USED_AS}"
    if name == "table":
        return "the field Table"
    return f"the field {settings_form.TITLES.get(name) or name.replace('_', ' ').capitalize()}"
