"""Reading the table, the images and the boxes of NIH ChestX-ray14 in all the layouts they come in."""

import json

import numpy as np
import pytest
from nih_files import edit_table, read
from PIL import Image

from medpeft_core.datasets.nih import LABELS
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.errors import DataError


def test_nih_labels_have_the_papers_order():
    assert DATASETS["nih"].labels == LABELS
    assert (LABELS[0], LABELS[6], LABELS[7], LABELS[13]) == ("Atelectasis", "Pneumonia", "Pneumothorax", "Hernia")
    assert len(LABELS) == 14


def test_nih_reads_table_and_files(make_nih):
    manifest = read(make_nih())
    assert len(manifest) == 60
    row = manifest.table.set_index("image").loc["images/00000002_001.png"]
    assert (row["patient_id"], row["age"], row["sex"], row["view"]) == ("2", 32, "M", "PA")
    assert [label for label in LABELS if row[label] == 1] == ["Mass", "Hernia"]
    assert manifest.targets()[manifest.table["image"] == "images/00000002_000.png"].sum() == 0
    assert all(path.is_file() for path in manifest.paths())
    assert not find_patient_overlap(manifest.table)


@pytest.mark.parametrize("images", [".", "images", "images_001/images", "images_012/images"])
def test_nih_finds_images_in_every_layout(make_nih, images):
    manifest = read(make_nih(images=images))
    assert len(manifest) == 60
    assert all(path.is_file() for path in manifest.paths())


def test_nih_finds_images_spread_over_folders(make_nih):
    root = make_nih(images="images_001/images")
    (root / "images_002/images").mkdir(parents=True)
    for path in sorted((root / "images_001/images").iterdir())[30:]:
        path.rename(root / "images_002/images" / path.name)
    manifest = read(root)
    assert manifest.table["image"].str.startswith("images_002/images/").sum() == 30


def test_nih_reads_a_partial_download(make_nih):
    root = make_nih()
    for path in sorted((root / "images").iterdir())[:50]:
        path.unlink()
    manifest = read(root)
    assert len(manifest) == 10
    assert "50 of 60 images are not on disk; they were left out." in manifest.notes
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"None of the 60 images of the label table is in .*It should hold"):
        read(root)


def test_nih_tolerates_the_oddities_of_spreadsheets(make_nih):
    """Byte order mark, Windows line ends, quoted names, trailing commas, empty lines, spaces."""
    root = make_nih()
    clean = read(root)
    path = root / "Data_Entry_2017.csv"
    lines = path.read_text().splitlines()
    header = ",".join(f'"{name}"' for name in lines[0].split(",")) + ",OriginalImage[Width,Height],"
    rows = [f'"{name}", {rest},2500,2048,' for name, _, rest in (line.partition(",") for line in lines[1:])]
    path.write_bytes(("\ufeff" + "\r\n".join([header, "", *rows]) + "\r\n\r\n").encode())
    assert read(root).table.equals(clean.table)


@pytest.mark.parametrize(
    ("text", "years"),
    [("058Y", 58), ("58", 58), ("006M", 0.5), ("073D", 0.2), ("412", None), ("old", None), ("", None)],
)
def test_nih_reads_ages_of_all_versions(make_nih, text, years):
    root = make_nih()
    edit_table(root, ",0,1,31,", f",0,1,{text},")
    age = read(root).table["age"].iloc[0]
    assert np.isnan(age) if years is None else age == pytest.approx(years, rel=0.01)


def test_nih_tells_how_many_ages_are_impossible(make_nih):
    """The page showed that ages were missing, but not that the table states 411 years."""
    root = make_nih()
    assert not any("age" in note for note in read(root).notes)
    edit_table(root, ",1,31,", ",1,411,")
    manifest = read(root)
    assert (
        "3 images state an impossible age (up to 411 years), a typing error in the table; it counts as not known."
        in (manifest.notes)
    )
    assert manifest.table["age"].isna().sum() == 3
    assert "odd_age" not in manifest.table


def test_nih_refuses_unknown_findings_with_their_line(make_nih):
    root = make_nih()
    edit_table(root, "00000002_001.png,Mass|Hernia", "00000002_001.png,Mass|Measles")
    with pytest.raises(
        DataError, match=r"Line 6 of .*Data_Entry_2017\.csv has the unknown finding 'Measles'\. Known: No Finding, Atel"
    ):
        read(root)


def test_nih_refuses_a_table_without_a_needed_column(make_nih):
    root = make_nih()
    edit_table(root, "Patient ID", "Patient")
    with pytest.raises(DataError, match=r"lacks the column Patient ID\. Columns found: Image Index, Finding Labels"):
        read(root)
    (root / "Data_Entry_2017.csv").write_text("")
    with pytest.raises(DataError, match="Columns found: none"):
        read(root)


def test_nih_refuses_short_lines_and_other_encodings(make_nih):
    root = make_nih()
    path = root / "Data_Entry_2017.csv"
    text = path.read_text()
    path.write_text(text + "00000099_000.png,Mass\n")
    with pytest.raises(DataError, match=r"Line 62 of .* has too few columns; it needs at least 7"):
        read(root)
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="is not a CSV table in UTF-8"):
        read(root)


def test_nih_refuses_images_listed_twice_and_half_missing_patients(make_nih):
    root = make_nih()
    edit_table(root, "00000001_001.png", "00000001_000.png")
    with pytest.raises(DataError, match="1 images are listed more than once"):
        read(root)
    edit_table(root, "00000001_000.png,Mass|Hernia,1,1,", "00000001_001.png,Mass|Hernia,1,,")
    with pytest.raises(DataError, match="1 of 60 images have no patient id"):
        read(root)


def test_nih_leads_from_the_folder_of_images_to_the_one_with_the_table(make_nih):
    """Who gave .../nih/images was told what a folder should hold, not that it is the one above."""
    root = make_nih()
    with pytest.raises(DataError, match=rf"{root.name} holds one: give that folder\.$"):
        read(root / "images")


def test_nih_says_what_a_folder_should_hold(tmp_path, make_nih):
    with pytest.raises(
        DataError, match=r"holds neither Data_Entry_2017\.csv nor .*It should hold Data_Entry_2017\.csv and the images"
    ):
        read(tmp_path)
    root = make_nih()
    with pytest.raises(DataError, match="nih holds one: give that folder"):
        read(root.parent)


def test_nih_reads_the_newer_table(make_nih):
    root = make_nih()
    (root / "Data_Entry_2017.csv").rename(root / "Data_Entry_2017_v2020.csv")
    assert len(read(root)) == 60


def test_nih_scales_boxes_to_the_files_on_disk(make_nih):
    root = make_nih()
    Image.fromarray(np.zeros((1024, 1024), np.uint8)).save(root / "images/00000002_001.png")
    lines = [
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_001.png,Infiltrate,512,256,102.4,51.2,,,",
        "00000001_001.png,Mass,0,0,1024,1024,,,",
        "00000002_001.png,Mass,10.5,20,30,40,,,",
        "99999999_001.png,Mass,1,2,3,4,,,",
    ]
    (root / "BBox_List_2017.csv").write_text("\n".join(lines))
    boxes = read(root).table.set_index("image")["boxes"]
    assert json.loads(boxes["images/00000001_001.png"]) == [
        {"label": "Infiltration", "x": 10, "y": 5, "width": 2, "height": 1},
        {"label": "Mass", "x": 0, "y": 0, "width": 20, "height": 20},
    ]
    assert json.loads(boxes["images/00000002_001.png"]) == [
        {"label": "Mass", "x": 10.5, "y": 20, "width": 30, "height": 40}
    ]
    assert boxes.notna().sum() == 2
    (root / "BBox_List_2017.csv").write_text("\n".join([*lines, "00000001_000.png,Mass,a,2,3,4"]))
    with pytest.raises(DataError, match=r"Line 6 of .* must have four numbers x, y, w, h"):
        read(root)
