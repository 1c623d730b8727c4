"""Reading NIH ChestX-ray14 in all the layouts it comes in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.nih import LABELS, NihOptions, read_nih
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.errors import ConfigError, DataError


def read(root: Path, *, seed: int = 0, **options: str) -> Manifest:
    return DATASETS["nih"].read_manifest(root, NihOptions(**options), split_seed=seed, progress=ignore_progress)


def edit_table(root: Path, old: str, new: str) -> None:
    path = root / "Data_Entry_2017.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write_lists(folder: Path, *, with_labels: bool) -> dict[str, list[str]]:
    """Lists for `make_nih(20)`: patients 1-14, 15-16, 17-20; names only: 1-16, 17-20."""
    folder.mkdir(exist_ok=True)
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    findings = {0: [], 1: ["Mass", "Hernia"], 2: ["Pneumonia"]}
    if not with_labels:
        parts = {"train_val_list": names[:48], "test_list": names[48:]}
        for part, own in parts.items():
            (folder / f"{part}.txt").write_text("\n".join(own))
        return parts
    parts = {"train_list": names[:42], "val_list": names[42:48], "test_list": names[48:]}
    for part, own in parts.items():
        lines = [
            f"some/folder/{name} " + " ".join(str(int(x in findings[int(name[9:12])])) for x in LABELS) for name in own
        ]
        (folder / f"{part}.txt").write_text("\r\n".join(lines) + "\r\n")
    return parts


def names_of(manifest: Manifest, split: str) -> set[str]:
    return {name.rpartition("/")[2] for name in manifest.split(split).table["image"]}


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


def test_nih_splits_by_seed_without_lists(make_nih):
    root = make_nih()
    manifest = read(root, seed=3)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 42, "test": 12, "val": 6}
    assert "seed 3" in manifest.notes[0]
    assert manifest.fingerprint() == read(root, seed=3).fingerprint() != read(root, seed=4).fingerprint()


@pytest.mark.parametrize("folder", [".", "lists"])
def test_nih_uses_the_papers_lists(make_nih, folder):
    root = make_nih()
    parts = write_lists(root / folder, with_labels=True)
    manifest = read(root)
    for split in ("train", "val", "test"):
        assert names_of(manifest, split) == set(parts[f"{split}_list"])
    assert len(manifest.notes) == 1
    assert "papers' lists" in manifest.notes[0]


def test_nih_uses_nihs_own_lists(make_nih):
    root = make_nih()
    parts = write_lists(root, with_labels=False)
    manifest = read(root)
    assert names_of(manifest, "test") == set(parts["test_list"])
    assert len(manifest.split("val")) == 6
    assert not find_patient_overlap(manifest.table)
    assert "NIH's test_list.txt" in manifest.notes[0]


def test_nih_tells_the_two_test_lists_apart_by_their_columns(make_nih):
    root = make_nih()
    write_lists(root, with_labels=False)
    write_lists(root / "lists", with_labels=True)
    assert len(read(root, lists="nih").split("val")) == len(read(root, lists="papers").split("val")) == 6
    assert "papers" in read(root).notes[0]
    assert "NIH's" in read(root, lists="nih").notes[0]
    assert "seed" in read(root, lists="none").notes[0]


def test_nih_lets_the_lists_labels_win_and_says_so(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    edit_table(root, "00000001_001.png,Mass|Hernia", "00000001_001.png,Mass")
    manifest = read(root)
    assert manifest.table.set_index("image").loc["images/00000001_001.png", "Hernia"] == 1
    assert "The labels of 1 images in the lists differ from the table; the lists were used." in manifest.notes


def test_nih_leaves_out_what_is_not_listed_or_not_in_the_table(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    lines = (root / "train_list.txt").read_text().splitlines()
    extra = lines[0].replace("00000001_000", "00009999_000")
    (root / "train_list.txt").write_text("\n".join([*lines[2:], extra]))
    notes = read(root).notes
    assert "2 images of the label table are in no split list; they were left out." in notes
    assert "1 images of the split lists are not in the label table; they were left out." in notes


def test_nih_refuses_odd_lists(make_nih):
    root = make_nih()
    write_lists(root, with_labels=True)
    train = root / "train_list.txt"
    good = train.read_text().splitlines()
    train.write_text("\n".join([*good, good[0]]))
    with pytest.raises(
        DataError, match=r"1 images are in the split lists more than once, for example 00000001_000\.png in train_list"
    ):
        read(root)
    train.write_text("\n".join([good[0], good[1] + " 1"]))
    with pytest.raises(DataError, match=r"Line 2 of .*train_list\.txt has 16 columns, but it must have 15 columns"):
        read(root)
    train.write_text("\n".join([good[0], good[1][:-1] + "7"]))
    with pytest.raises(DataError, match=r"Line 2 of .* has the label '7', but it must be 0 or 1"):
        read(root)
    train.unlink()
    with pytest.raises(DataError, match=r"lacks train_list\.txt with 15 columns.*lists=none"):
        read(root)
    assert len(read(root, lists="none")) == 60
    with pytest.raises(DataError, match=r"lacks train_val_list\.txt, test_list\.txt with 1 column on each line"):
        read(root, lists="nih")


def test_nih_refuses_an_unknown_choice_of_lists():
    with pytest.raises(ConfigError, match=r"data\.lists is 'mine', but it must be one of auto, nih, papers, none"):
        NihOptions(lists="mine")


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


def test_nih_splits_a_partial_download_like_the_whole(make_nih):
    root = make_nih()
    whole = read(root).table.set_index("image")["split"]
    for path in sorted((root / "images").iterdir())[10:40]:
        path.unlink()
    part = read(root).table.set_index("image")["split"]
    assert part.equals(whole[part.index])


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


def test_nih_reads_a_table_of_the_full_size(tmp_path):
    """112,120 rows with the papers' lists; the films are empty files, for none is opened."""
    rng = np.random.default_rng(0)
    patients = np.sort(rng.integers(1, 30806, 112_120))
    names = [f"{patient:08d}_{number:06d}.png" for number, patient in enumerate(patients)]
    finding = rng.integers(0, 15, len(names))
    table = pd.DataFrame({
        "Image Index": names, "Finding Labels": np.array([*LABELS, "No Finding"])[finding], "Patient ID": patients,
        "Patient Age": 50, "Patient Gender": "F", "View Position": "AP",
    })  # fmt: skip
    table.to_csv(tmp_path / "Data_Entry_2017.csv", index=False)
    part = np.where(patients < 21000, "train", np.where(patients < 24000, "val", "test"))
    for name in ("train", "val", "test"):
        rows = np.flatnonzero(part == name)
        lines = [f"{names[row]} " + " ".join("1" if finding[row] == k else "0" for k in range(14)) for row in rows]
        (tmp_path / f"{name}_list.txt").write_text("\n".join(lines))
    (tmp_path / "images").mkdir()
    for name in names[::10]:
        (tmp_path / "images" / name).touch()
    manifest = read_nih(tmp_path, NihOptions(), split_seed=0, progress=ignore_progress)
    assert len(manifest) == 11_212


def test_nih_reads_the_real_sample(nih_sample):
    manifest = read(nih_sample)
    assert [len(manifest.split(name)) for name in ("train", "val", "test")] == [503, 77, 201]
    for split in ("train", "val", "test"):
        lines = (nih_sample / f"{split}_list.txt").read_text().splitlines()
        listed = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in lines}
        own = manifest.split(split)
        names = [name.rpartition("/")[2] for name in own.table["image"]]
        assert set(names) == set(listed)
        np.testing.assert_array_equal(own.targets(), [listed[name] for name in names])
    assert not find_patient_overlap(manifest.table)
    assert not any("differ" in note for note in manifest.notes)
    without_lists = read(nih_sample, lists="none")
    assert set(without_lists.table["split"]) == {"train", "val", "test"}
    np.testing.assert_array_equal(without_lists.targets(), manifest.targets())
