"""Tables as people save them: any separator and encoding, workbooks, Parquet; what cannot be read is named."""

import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from medpeft_core.datasets.own.tables import read_table
from medpeft_core.errors import DataError


def read_text(tmp_path: Path, content: str | bytes, name: str = "table.csv", **how: str) -> pd.DataFrame:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, **how).frame


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_own_tables_find_the_separator(tmp_path, delimiter):
    lines = [["image", "age", "note"], ["1.png", "0,5" if delimiter != "," else "0.5", "a, b"], ["2.png", "", "c"]]
    text = "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in lines)
    frame = read_text(tmp_path, text)
    assert list(frame.columns) == ["image", "age", "note"]
    assert frame["note"].tolist() == ["a, b", "c"]
    assert frame.index.tolist() == [2, 3]


def test_own_tables_keep_a_list_in_a_cell_apart_from_the_separator(tmp_path):
    frame = read_text(tmp_path, "image,findings\n1.png,Effusion|Mass\n2.png,Mass\n3.png,Hernia|Mass|Edema\n")
    assert frame["findings"].tolist() == ["Effusion|Mass", "Mass", "Hernia|Mass|Edema"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_own_tables_find_the_encoding(tmp_path, encoding):
    text = "Bild;Größe\nä.png;mäßig\nö.png;groß\n"
    frame = read_text(tmp_path, text.encode(encoding))
    assert frame["Größe"].tolist() == ["mäßig", "groß"]


def test_own_tables_find_the_encoding_of_other_scripts_or_take_the_named_one(tmp_path):
    text = "файл,диагноз\n" + "".join(f"{row}.png,{'норма' if row % 2 else 'пневмония легких'}\n" for row in range(20))
    assert read_text(tmp_path, text.encode("cp1251"))["диагноз"].tolist()[:2] == ["пневмония легких", "норма"]
    assert read_text(tmp_path, text.encode("koi8-r"), encoding="koi8-r")["диагноз"].iloc[1] == "норма"
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_text(tmp_path, "a,b\n1,2\n", encoding="klingon")


def test_own_tables_read_what_programs_leave_behind(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"sep=;\r\n image ; label ;;\r\n\r\n1.png;a\x00b;;\r\n  2.png  ;c;;\r\n;;;\r\n")
    table = read_table(path)
    assert table.frame.to_dict("list") == {"image": ["1.png", "2.png"], "label": ["ab", "c"]}
    assert table.frame.index.tolist() == [4, 5]
    assert any("NUL" in note for note in table.notes)


TITLES = {
    "one cell": "Films of 2024\n\nimage,label,age\n1.png,a,4\n2.png,b,5\n",
    "semicolons": "Films of 2024\nby Station 3\nimage;label;age\n1.png;a, c;4\n2.png;b, d;5\n",
    "filled up": "Films of 2024,,\nimage,label,age\n1.png,a,\n2.png,b,5\n",
}


@pytest.mark.parametrize("text", TITLES.values(), ids=TITLES)
def test_own_tables_pass_over_titles(tmp_path, text):
    """A title above the names was taken for the header, and the message was about separators."""
    path = tmp_path / "table.csv"
    path.write_text(text)
    table = read_table(path)
    assert list(table.frame.columns) == ["image", "label", "age"]
    assert table.frame["image"].tolist() == ["1.png", "2.png"]
    assert any("begins with a title (line 1" in note for note in table.notes)
    assert not any("Films" in note for note in table.notes)
    book = openpyxl.Workbook()
    book.active.append(["Films of 2024"])
    for row in (["image", "label", "age"], ["1.png", "a", 4], ["2.png", "b", 5]):
        book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    table = read_table(tmp_path / "table.xlsx")
    assert table.frame.index.tolist() == [3, 4]
    assert any("begins with a title (row 1)" in note for note in table.notes)


def test_own_tables_name_merged_headers_and_columns_without_names(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Films", None, "Findings", None, None], ["image", "id", "mass", "edema", "note"], ["1.png", 1, 0, 1]):
        book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    with pytest.raises(DataError, match=r"Row 1 of .* merged cells: 2 of its cells are filled, 5 of those in row 2"):
        read_table(tmp_path / "table.xlsx")
    book.active.delete_rows(1, 2)
    book.active.insert_rows(1)
    book.active["A1"], book.active["B1"] = "image", "id"
    book.save(tmp_path / "table.xlsx")
    with pytest.raises(DataError, match=r"Row 2 of .* has 4 cells, but only 2 columns have a name"):
        read_table(tmp_path / "table.xlsx")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("image\n1.png\n2.png\n", ["image"]),
        (",label\n1.png,a\n2.png,b\n", ["column 1", "label"]),
        ("image,,a,b\n1.png,,1,0\n2.png,,0,1\n", ["image", "column 2", "a", "b"]),
        ("image\n1.png\n", ["image"]),
    ],
)
def test_own_tables_take_no_header_for_a_title(tmp_path, text, columns):
    assert list(read_text(tmp_path, text).columns) == columns


def test_own_tables_name_doubled_and_empty_columns(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("image,label,label,,x\n1,2,3,4,5\n")
    table = read_table(path)
    assert list(table.frame.columns) == ["image", "label", "label (2)", "column 4", "x"]
    assert any("label (2)" in note for note in table.notes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty \\(0 bytes\\)"),
        (b"image,label\n", "has a header but no rows"),
        (b"\n , \n", "no header"),
        (b"image,label\n1.png,a\n2.png\n", "Line 3 of .* has 1 cells instead of 2, too few. It may be cut off"),
        (b"image,label\n1.png,a\n2.png,b,c\n", "Line 3 of .* has 3 cells instead of 2, too many"),
        (bytes(range(256)) * 4, "is no text"),
        (b"\xff\xfe\x00\xd8,\x00\n\x00", "is not text in utf-16"),
    ],
)
def test_own_tables_refuse_by_file_and_line(tmp_path, content, sentence):
    with pytest.raises(DataError, match=sentence):
        read_text(tmp_path, content)


def test_own_tables_refuse_a_quotation_that_never_ends(tmp_path):
    with pytest.raises(DataError, match=r"Line 2 of .*cannot be read as CSV .*quotation mark"):
        read_text(tmp_path, 'image,label\n"1.png,' + "x" * (1 << 20) + "\n2.png,b\n")


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
def test_own_tables_read_workbooks_and_parquet_as_the_csv(tmp_path, ending):
    frame = pd.DataFrame({
        "image": ["ä 1.png", "2.png", "3.png"], "label": [0, 1, 1], "age": [40.0, None, 41.5],
        "is_test": [True, False, True],
        "date": pd.to_datetime(["2019-03-31", "2020-01-02", None]),
    })  # fmt: skip
    path = tmp_path / f"table.{ending}"
    if ending == "xlsx":
        with pd.ExcelWriter(path) as book:
            pd.DataFrame({"nothing": []}).to_excel(book, sheet_name="cover", index=False)
            frame.to_excel(book, sheet_name="labels", index=False)
    else:
        frame.to_parquet(path)
    table = read_table(path)
    assert table.frame["image"].tolist() == ["ä 1.png", "2.png", "3.png"]
    assert table.frame["label"].tolist() == ["0", "1", "1"]
    assert table.frame["age"].tolist() == ["40", "", "41.5"]
    assert table.frame["is_test"].tolist() == ["1", "0", "1"]
    assert table.frame["date"].tolist() == ["2019-03-31", "2020-01-02", ""]
    assert table.sheets == (("cover", "labels") if ending == "xlsx" else ())


def test_own_tables_choose_a_sheet(tmp_path):
    path = tmp_path / "table.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"image": ["1.png"], "label": ["a"]}).to_excel(book, sheet_name="one", index=False)
        pd.DataFrame({"image": ["2.png"], "label": ["b"]}).to_excel(book, sheet_name="two", index=False)
    assert read_table(path, sheet="two").frame["image"].tolist() == ["2.png"]
    with pytest.raises(DataError, match=r"has no sheet 'three'.*Choose: one, two"):
        read_table(path, sheet="three")


def test_own_tables_refuse_workbooks_that_are_none(tmp_path):
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))  # Office keeps encrypted files in such
    with pytest.raises(DataError, match="protected by a password"):
        read_table(path)
    path.write_bytes(b"PK\x03\x04 but no zip")
    with pytest.raises(DataError, match="no Excel workbook"):
        read_table(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(64 << 20))
    with pytest.raises(DataError, match="as no honest workbook does"):
        read_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>")
    with pytest.raises(DataError, match="declares entities"):
        read_table(path)


def test_own_tables_refuse_parquet_that_is_none_or_holds_lists(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(DataError, match="no Parquet file"):
        read_table(path)
    pd.DataFrame({"image": ["1.png"], "label": [[1, 2]]}).to_parquet(path)
    with pytest.raises(DataError, match="column 'label' .* holds list"):
        read_table(path)


def test_own_tables_tell_what_to_do_about_other_formats(tmp_path):
    path = tmp_path / "table.xls"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"\.xls files are not supported\. Save it as \.xlsx"):
        read_table(path)
    with pytest.raises(DataError, match="There is no table"):
        read_table(tmp_path / "gone.csv")
