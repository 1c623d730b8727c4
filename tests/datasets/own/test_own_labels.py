"""Label columns of any kind, what is said about odd cells, and splits that a table names."""

import numpy as np
import pytest
from own_files import make_table, read_own, write_images

from medpeft_core.errors import DataError


def read_rows(tmp_path, header, rows, **options):
    """A table with 00.png, 01.png and so on as its first column."""
    lines = [f"{number:02d}.png,{row}" for number, row in enumerate(rows)]
    return read_own("table", make_table(tmp_path, "\n".join([f"file,{header}", *lines]), images=len(rows)), **options)


def test_own_labels_read_columns_of_0_and_1(tmp_path):
    rows = ["1,0,", "0,1.0,-1", "yes,no,1", "-1,,0", "0,0,0", "1,1,1"]
    manifest = read_rows(tmp_path, "mass,edema,hernia", rows)
    nan = np.nan
    expected = [[1, 0, 0], [0, 1, nan], [1, 0, 1], [nan, 0, 0], [0, 0, 0], [1, 1, 1]]
    np.testing.assert_array_equal(manifest.targets(), expected)
    assert (manifest.task, manifest.labels) == ("multilabel", ("mass", "edema", "hernia"))
    assert "2 uncertain labels (-1) count as not known (data.uncertain)." in manifest.notes
    assert "2 empty label cells count as 0 (data.blank)." in manifest.notes
    again = read_own("table", tmp_path, uncertain="ones", blank="ignore")
    np.testing.assert_array_equal(again.targets()[:2], [[1, 0, nan], [0, 1, 1]])
    assert read_own("table", tmp_path, uncertain="zeros").targets()[1, 2] == 0
    chosen = read_own("table", tmp_path, labels="hernia,mass")
    assert chosen.labels == ("hernia", "mass")


def test_own_labels_read_columns_of_which_one_is_1_as_classes(tmp_path):
    rows = ["1,0,0", "0,1,0", "0,0,1", "0,1,0"]
    manifest = read_rows(tmp_path, "mel,nv,bkl", rows)
    assert (manifest.task, manifest.labels) == ("multiclass", ("mel", "nv", "bkl"))
    assert read_own("table", tmp_path, label_form="binary").task == "multilabel"
    with pytest.raises(DataError, match=r"Line 2 of .* is 1 in 2 of the columns .* needs exactly one"):
        read_rows(tmp_path, "mel,nv,bkl", ["1,1,0", *rows[1:]], label_form="class")


def test_own_labels_read_lists_of_findings(tmp_path):
    rows = ["Effusion|Mass", "No Finding", "Mass", "", "Hernia | Mass", "Normal"]
    manifest = read_rows(tmp_path, "Finding Labels", rows)
    assert (manifest.task, manifest.labels) == ("multilabel", ("Effusion", "Hernia", "Mass"))
    assert manifest.targets().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert len(read_own("table", tmp_path, blank="ignore")) == 5
    python = ["\"['a', 'b']\"", "\"['b']\"", "\"['a']\""]
    assert read_rows(tmp_path / "lists", "labels", python).labels == ("a", "b")
    slashes = read_rows(tmp_path / "slashes", "dx", ["a/b", "b", "a", "b"], separator="/")
    assert slashes.targets().tolist() == [[1, 1], [0, 1], [1, 0], [0, 1]]


def test_own_labels_read_classes_and_grades(tmp_path):
    manifest = read_rows(tmp_path, "dx", ['"nevus, benign;x"', "b", "b", ""], labels="dx", label_form="class")
    assert (len(manifest), manifest.task) == (3, "multiclass")
    assert any("1 row has no class; it was left out." in note for note in manifest.notes)
    grades = read_rows(tmp_path / "grades", "diagnosis", ["2", "0", "1", "3.0", "4", "0"])
    assert (grades.labels, grades.is_ordered) == (("0", "1", "2", "3", "4"), True)


@pytest.mark.parametrize(
    ("header", "rows", "options", "sentence"),
    [
        ("mass", ["1", "0", "1", "0"] * 4 + ["perhaps"], {}, r"Line 18 of .* has 'perhaps' in the label column 'mass'"),
        ("mass", ["0.2", "0.7", "0.1"], {"labels": "mass", "label_form": "binary"}, r"Line 2 of .* has '0.2'"),
        ("dx", ["a", "a", "a"], {"labels": "dx"}, "one class only, 'a'"),
        ("mass", ["1", "0", "1"], {"labels": "moss"}, r"has no column 'moss' \(data.labels\). Its columns: file, mass"),
        ("mass", ["1", "0", "1"], {"image": "mass"}, r"None of the 2 images of the column 'mass' is in .* lines 2, 4;"),
        ("mass", ["1", "0", "1"], {"sex": "mass"}, "No column of .* looks like labels"),
        ("mass,name", ["1,", "0,", "1,"], {"image": "name"}, "The column 'name' of .* is empty"),
        ("mass,age", ["1,5", "0,6", "1,7"], {"patient": "mass", "labels": "mass"}, "cannot be both"),
        ("dx,x", ["a,1", "b,0", "a,1"], {"labels": "dx,x"}, r"'a' in the label column 'dx'.*seems to hold classes"),
        ("mass,set", ["1,train", "0,test", "1,later"], {"split_column": "set"}, "Line 4 of .* has 'later'.*no split"),
        ("mass,set", ["1,test", "0,test", "1,val"], {}, "No image is in train: the column 'set'"),
        ("findings", ["No Finding", "Normal"], {"labels": "findings", "label_form": "list"}, "holds no finding but"),
    ],
)
def test_own_labels_refuse_by_line_and_column(tmp_path, header, rows, options, sentence):
    with pytest.raises(DataError, match=sentence):
        read_rows(tmp_path, header, rows, **options)


def test_own_tables_tell_what_is_missing_on_either_side(tmp_path):
    make_table(tmp_path, "file,mass\n" + "".join(f"{number:02d}.png,{number % 2}\n" for number in range(4, 20)))
    notes = " ".join(read_own("table", tmp_path).notes)
    assert "8 of 16 images of the table are not on disk, for example '12.png', '13.png'" in notes
    assert "4 images on disk are not in the table, for example images/00.png" in notes
    (tmp_path / "labels.csv").write_text("file,mass\n../x.png,1\n00.png,0\n01.png,1\n")
    assert "1 rows name files outside the folder, for example '../x.png'" in " ".join(read_own("table", tmp_path).notes)
    (tmp_path / "labels.csv").write_text("file,mass\nx.png,1\ny.png,0\n")
    with pytest.raises(DataError, match=r"None of the 2 images .* 'x.png'; the first file there is images/00.png"):
        read_own("table", tmp_path)


def test_own_tables_merge_rows_that_agree_and_refuse_those_that_do_not(tmp_path):
    make_table(tmp_path, "file,mass\n00.png,1\n01.png,0\n02.png,1\n00.png,1\nimages/01.png,0\n")
    manifest = read_own("table", tmp_path)
    assert len(manifest) == 3
    assert "2 rows repeat an image with the same labels; each image counts once." in manifest.notes
    (tmp_path / "labels.csv").write_text("file,mass\n00.png,1\n01.png,0\n02.png,1\n00.png,0\n")
    with pytest.raises(
        DataError,
        match=r"In labels.csv, lines 2 and 5 are about the same image, images/00.png, .* "
        "mass",
    ):
        read_own("table", tmp_path)


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("set", ["train", "Training", "VALID", "dev", "Test", "hold-out"], "train train val val test test"),
        ("is_test", ["0", "1", "0", "0", "1", "0"], "train test train train test train"),
        ("fold", ["1", "2", "3", "4", "5", "5"], "train train train val test test"),
        ("train", ["1", "0", "1", "1", "0", "1"], "train test train train test train"),
    ],
)
def test_own_splits_are_read_as_people_write_them(tmp_path, header, cells, expected):
    rows = [f"{number % 2},{cell},{number}" for number, cell in enumerate(cells)]
    manifest = read_rows(tmp_path, f"mass,{header},patient", rows)
    found = manifest.table["split"].tolist()
    wanted = expected.split()
    if "val" not in wanted:  # one of train was drawn for it
        assert found.count("val") == 1
        found = ["train" if split == "val" else split for split in found]
    assert found == wanted


def test_own_tables_take_people_and_masks(tmp_path):
    write_images(tmp_path, "masks/00.png")
    rows = [
        "1,58Y,w,pa,links,Nord,31.12.2019,masks/00.png",
        '0,"61,5",M,AP,R,Süd,01.02.2020,',
        "1,444,x,LL,,,,",
        "0,١x,F,PA,R,Nord,2020,",
    ]
    header = "mass,Alter,Geschlecht,Projection,side,hospital,date,mask"
    manifest = read_rows(tmp_path, header, rows)
    table = manifest.table
    assert table["age"].tolist()[:2] == [58, 61.5]
    assert table["age"].isna().tolist() == [False, False, True, True]
    assert table["sex"].tolist() == ["F", "M", None, "F"]
    assert table["view"].tolist() == ["PA", "AP", "LATERAL", "PA"]
    assert table["laterality"].tolist() == ["L", "R", None, "R"]
    assert table["site"].tolist() == ["Nord", "Süd", None, "Nord"]
    assert table["date"].tolist() == ["2019-12-31", "2020-02-01", None, None]
    assert table["mask"].tolist()[0] == "masks/00.png"
    assert any("hold no possible sex in the column" in note for note in manifest.notes)
