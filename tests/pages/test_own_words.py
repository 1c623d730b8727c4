"""Sentences on own images in the words of the page."""

import re
from pathlib import Path

import pytest

import medpeft_core
from pages.widgets.own_words import PHRASES, write_for_page


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("set data.patient_pattern={id}_* if so.", "set the field Patient in the file names to {id}_* if so."),
        ("Name a table (data.table), or (data.tag),",
         "Name a table (the field Table), or (the field Attribute with the class),"),
        ("set data.ordered=0,1,2.", "set the field Grades, the mildest first to 0,1,2."),
        ("no column 'a' (data.labels). See /x/data.table=1", "no column 'a' (Label in the column Used as). "
         "See /x/data.table=1"),
        ("no table, but /a b/c.csv names its images. Use it with --set data.table=/a b/c.csv, or give",
         "no table, but /a b/c.csv names its images. Give it in the field Table: /a b/c.csv, or give"),
    ],
)  # fmt: skip
def test_advice_names_the_fields_of_the_page(said, shown):
    assert write_for_page(said) == shown


def test_replaced_phrases_are_those_of_the_core():
    core = Path(medpeft_core.__file__).parent / "datasets" / "own"
    said = "".join(re.sub(r'"\s*f?"', "", path.read_text(encoding="utf-8")) for path in core.glob("*.py"))
    assert [words for words in PHRASES if words.rstrip(".") not in said] == []
