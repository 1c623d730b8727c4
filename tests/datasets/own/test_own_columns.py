"""Columns of labels, patients, sexes and splits whose cells could be taken for something else."""

import numpy as np
import pytest
from own_files import make_table, read_own

from medpeft_core.datasets.own.propose import propose
from medpeft_core.errors import DataError


def make_rows(root, header, rows, *, images=0):
    """A table with 00.png, 01.png and so on as its first column."""
    lines = [f"{number:02d}.png,{row}" for number, row in enumerate(rows)]
    return make_table(root, "\n".join([f"file,{header}", *lines]), images=images or len(rows))


def test_own_rows_without_any_label_are_no_negatives(tmp_path):
    make_rows(tmp_path / "one", "cancer", ["1", "0", "", "0", "", "1"])
    manifest = read_own("table", tmp_path / "one")
    assert manifest.targets()[:, 0].tolist() == [1, 0, 0, 1]
    told = "2 rows have no label at all; they were left out. If empty cells mean 0, set data.blank=zeros."
    assert told in [item.text for item in propose(tmp_path / "one").findings if item.severity == "warning"]
    assert read_own("table", tmp_path / "one", blank="zeros").targets()[:, 0].tolist() == [1, 0, 0, 0, 0, 1]
    assert np.isnan(read_own("table", tmp_path / "one", blank="ignore").targets()[:, 0]).sum() == 2
    make_rows(tmp_path / "three", "a,b,c", ["1,0,0", "0,1,0", ",,", "0,0,1"])
    manifest = read_own("table", tmp_path / "three")
    assert (manifest.task, len(manifest)) == ("multiclass", 3)
    make_rows(tmp_path / "present", "a,b", ["1,", "1,1", ",", ",1"])
    manifest = read_own("table", tmp_path / "present")
    assert manifest.targets().tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    assert "4 empty label cells count as 0, as no cell says 0 (data.blank)." in manifest.notes


def test_own_grades_of_which_most_are_0_and_1_are_grades(tmp_path):
    """Five grades of which nine in ten were 0 or 1 were refused as 0 and 1 with mistakes."""
    make_rows(tmp_path, "level", ["0"] * 20 + ["1"] * 9 + ["2", "3", "4"])
    manifest = read_own("table", tmp_path)
    assert (manifest.labels, manifest.is_ordered) == (("0", "1", "2", "3", "4"), True)
    assert propose(tmp_path).columns[1].role == "label"
    make_rows(tmp_path, "level", ["0"] * 20 + ["1"] * 11 + ["2"])
    with pytest.raises(DataError, match="has '2' in the label column.*data.label_form=class"):
        read_own("table", tmp_path)
    assert read_own("table", tmp_path, ordered="0,1,2").is_ordered


def test_own_grades_without_images_keep_their_place(tmp_path):
    make_rows(tmp_path, "grade", ["0", "2", "3"] * 4 + ["1"], images=12)
    manifest = read_own("table", tmp_path)
    assert (manifest.labels, manifest.is_ordered) == (("0", "1", "2", "3"), True)
    assert "No image is left of 1. Grades between others keep their place." in manifest.notes
    make_rows(tmp_path, "grade", ["0", "2", "3"] * 4)
    assert (
        "The classes 0, 2, 3 have a gap; if they are grades, set data.ordered=0,1,2,3."
        in read_own("table", tmp_path).notes
    )
    assert read_own("table", tmp_path, ordered="0,1,2,3").labels == ("0", "1", "2", "3")
    make_rows(tmp_path, "g0,g2", ["1,0", "0,1"] * 3)
    assert read_own("table", tmp_path, ordered="g0,g1,g2").labels == ("g0", "g1", "g2")


@pytest.mark.parametrize("value", ["0", "1"])
def test_own_label_that_is_the_same_everywhere_is_refused_by_name(tmp_path, value):
    make_rows(tmp_path, "cancer", [value] * 6)
    with pytest.raises(DataError, match=f"The label 'cancer' is {value} for all 6 images"):
        read_own("table", tmp_path)
    assert not propose(tmp_path).is_usable
