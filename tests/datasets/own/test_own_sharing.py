"""One file for another lab: what it holds, what it never holds, and what is refused when it is opened."""

import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from own_files import make_folders, make_table, write_dicom, write_images

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.opening import open_data
from medpeft_core.datasets.own.sharing import share_data
from medpeft_core.datasets.own.store import add_data, describe, remove_data
from medpeft_core.datasets.own.stored_sets import list_stored, own_dir
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import DataError
from medpeft_core.paths import datasets_dir

PATTERN = {"patient_pattern": "{id}_*"}


@pytest.fixture
def films(tmp_path):
    """A folder that is stored as `films`."""
    root = make_folders(tmp_path / "in", classes=("mild", "none", "severe"))
    add_data(name="films", title="My films", form="folder", options=PATTERN, root=str(root))
    return root


@pytest.fixture
def other_home(tmp_path, monkeypatch):
    """Call it to go to another lab."""
    return lambda: monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))


def test_own_sharing_brings_a_set_with_its_images_to_another_home(films, tmp_path, other_home):
    before = prepare_dataset(DataConfig(dataset="films", cache_size=16))
    about = list_stored()["films"]
    shared = share_data("films", tmp_path, with_images=True)
    assert Path(shared["path"]) == tmp_path / "films.medpeft.zip"
    assert (shared["fingerprint"], shared["num_images"]) == (about.fingerprint, 18)
    films.rename(tmp_path / "gone")
    other_home()
    opened = open_data(tmp_path / "films.medpeft.zip")
    assert opened["fingerprint"] == about.fingerprint
    assert (opened["title"], opened["is_ordered"], opened["origin"]) == ("My films", True, "opened")
    after = prepare_dataset(DataConfig(dataset="films", cache_size=16))
    assert after.fingerprint == before.fingerprint
    assert after.pixels_sha256 == before.pixels_sha256
    assert remove_data("films")["removed_images"]
    assert not list((datasets_dir() / "uploads").iterdir())


def test_own_sharing_brings_a_set_without_images(films, tmp_path, other_home):
    share_data("films", tmp_path / "set.medpeft.zip")
    other_home()
    opened = open_data(tmp_path / "set.medpeft.zip", name="theirs")
    assert opened["root"] == ""
    assert DATASETS["theirs"].needs_root
    with pytest.raises(DataError, match="It was shared without its images. Give the folder"):
        prepare_dataset(DataConfig(dataset="theirs"))
    assert len(prepare_dataset(DataConfig(dataset="theirs", root=str(films), cache_size=16)).manifest) == 18
    remove_data("theirs")
    with pytest.raises(DataError, match="None of the 18 images is in"):
        open_data(tmp_path / "set.medpeft.zip", root=str(tmp_path))
    (films / "mild" / "m00_0.png").unlink()
    assert open_data(tmp_path / "set.medpeft.zip", root=str(films))["num_missing"] == 1


def test_own_sharing_tells_of_a_set_that_is_here(films, tmp_path, other_home):
    share_data("films", tmp_path / "one.medpeft.zip")
    with pytest.raises(DataError, match="This very data set is here already, as 'films'"):
        open_data(tmp_path / "one.medpeft.zip", name="again")
    other_home()
    add_data(name="films", form="folder", options=PATTERN, root=str(make_folders(tmp_path / "more")))
    with pytest.raises(DataError, match=r"another data set 'films' here: its fingerprint is .*\(--name\)"):
        open_data(tmp_path / "one.medpeft.zip")


def test_own_sharing_knows_a_set_that_another_home_added_from_the_same_folder(films, tmp_path, other_home):
    """The fingerprint was taken after the pseudonyms, so it differed in every home."""
    share_data("films", tmp_path / "one.medpeft.zip")
    other_home()
    again = add_data(name="same", form="folder", options=PATTERN, root=str(films))
    without = add_data(name="loose", form="folder", root=str(films))
    with pytest.raises(DataError, match="This very data set is here already, as 'same'"):
        open_data(tmp_path / "one.medpeft.zip")
    assert again["fingerprint"] != without["fingerprint"]


def test_own_sharing_leaves_out_dates_folders_and_ids(tmp_path, other_home):
    rows = "".join(
        f"{number:02d}.png,{number % 2},Meier{number // 2},2019-03-{number + 1:02d}\n" for number in range(12)
    )
    root = make_table(tmp_path / "in", f"file,mass,patient,date\n{rows}")
    add_data(name="films", form="table", options={"table": str(root / "labels.csv")}, root=str(root))
    share_data("films", tmp_path / "set.medpeft.zip")
    with zipfile.ZipFile(tmp_path / "set.medpeft.zip") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        table = pd.read_parquet(io.BytesIO(archive.read("manifest.parquet")))
    assert str(tmp_path).encode() not in content
    assert b"Meier" not in content
    assert "date" not in table
    other_home()
    assert open_data(tmp_path / "set.medpeft.zip", root=str(root))["counts"]["patients"] == 6


def test_own_sharing_never_gives_dicom_files_that_name_patients_away(tmp_path):
    for number in range(6):
        write_dicom(tmp_path / "in" / "ab"[number % 2] / f"{number}.dcm", PatientID=str(number))
    add_data(name="films", form="dicom", root=str(tmp_path / "in"))
    with pytest.raises(DataError, match=r"6 of 6 DICOM files do not state .* \(PatientIdentityRemoved\)"):
        share_data("films", tmp_path, with_images=True)
    assert not list(tmp_path.glob("*.zip"))
    assert share_data("films", tmp_path)["num_images"] == 0
    for number in range(6):
        write_dicom(tmp_path / "in" / "ab"[number % 2] / f"{number}.dcm", PatientIdentityRemoved="YES")
    assert share_data("films", tmp_path, with_images=True)["num_images"] == 6


def test_own_sharing_refuses_what_is_missing(films, tmp_path):
    with pytest.raises(DataError, match="no data set of your own called 'nih'"):
        share_data("nih", tmp_path)
    with pytest.raises(DataError, match="The folder .*/none does not exist"):
        share_data("films", tmp_path / "none" / "x.zip")
    (films / "mild" / "m00_0.png").unlink()
    with pytest.raises(DataError, match="1 of 18 images are missing"):
        share_data("films", tmp_path, with_images=True)
    with pytest.raises(DataError, match="There is no file"):
        open_data(tmp_path / "gone.medpeft.zip")


def test_own_sharing_takes_names_with_odd_blanks_and_long_notes(tmp_path, other_home):
    """Such a set could be shared but never opened."""
    root = make_folders(tmp_path / "in")
    for path in list(root.rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}\u202fAM\u3000.png"))
    (root / "ill" / ("x" * 200)).mkdir()
    for number in range(12):
        (root / f"{number}{'y' * 230}.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "out.png").write_bytes(b"")
    add_data(name="films", title="My\u202f\u202e films", form="folder", root=str(root))
    about = list_stored()["films"]
    assert about.title == "My films"
    share_data("films", tmp_path, with_images=True)
    other_home()
    assert open_data(tmp_path / "films.medpeft.zip")["notes"] == list(about.notes)


def test_own_sharing_cuts_notes_that_nobody_would_open(films):
    table = pd.read_parquet(own_dir() / "films" / "manifest.parquet")
    labels = ("mild", "none", "severe")
    manifest = Manifest(
        dataset="x", task="multiclass", labels=labels, image_root=films, table=table, notes=("a\x1b[1m" * 900,) * 300
    )
    notes = describe(manifest, name="x", title="", root=films, form="folder", options={}).notes
    assert (len(notes), len(notes[0]), notes[0][:6]) == (200, 2000, "a[1ma[")
    assert notes[0].endswith("...")


@pytest.mark.parametrize(
    ("names", "with_images", "sentence"),
    [
        (("a\nb.png",), False, r"'a/a\\nb.png' as image: its name holds control characters. No lab could open that"),
        (("a\\b.png",), False, "as image: it holds what no path does. No lab could open that"),
        (("c.png", "C.png"), True, "cannot hold 'a/c.png': its name collides with 'a/C.png'"),
    ],
)
def test_own_sharing_writes_nothing_that_would_not_open(tmp_path, names, with_images, sentence):
    write_images(tmp_path / "in", *(f"a/{name}" for name in names), "a/1.png", "b/2.png", "b/3.png")
    add_data(name="films", form="folder", root=str(tmp_path / "in"))
    with pytest.raises(DataError, match=sentence):
        share_data("films", tmp_path, with_images=with_images)
    assert not list(tmp_path.glob("*.zip"))


def rewrite(path, change):
    """The same file with other contents: `change` gets and gives a dict of names and bytes."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files = change(files)
    if "data.json" in files:
        head = json.loads(files["data.json"])
        for name in [name for name in files if name != "data.json"]:
            import hashlib

            digest = hashlib.sha256(files[name]).hexdigest()
            head["files"].setdefault(name, {}).update(num_bytes=len(files[name]), sha256=digest)
        files["data.json"] = json.dumps(head).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def about(**values):
    def change(files):
        head = json.loads(files["data.json"])
        head["about"].update(values)
        return files | {"data.json": json.dumps(head).encode()}

    return change


def table(edit):
    def change(files):
        frame = pd.read_parquet(io.BytesIO(files["manifest.parquet"]))
        stream = io.BytesIO()
        edit(frame).to_parquet(stream, index=False)
        return files | {"manifest.parquet": stream.getvalue()}

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda files: {"manifest.parquet": files["manifest.parquet"]}, "lacks data.json"),
        (lambda files: files | {"data.json": b'{"format": "other", "files": {}}'}, "no shared data set of this lab"),
        (lambda files: files | {"images/x.exe": b"MZ"}, "or no image"),
        (lambda files: files | {"images/x.png": b"x"}, "does not bring the images that its manifest lists"),
        (lambda files: files | {"manifest.parquet": b"PAR1"}, "manifest in .* is damaged"),
        (about(name="../up"), "as name, which cannot be"),
        (about(title="x" * 101), "as title, which cannot be"),
        (about(title=3), "as title, which cannot be"),
        (about(labels=["mild", "mild", "severe"]), "as labels, which cannot be"),
        (about(labels=["split", "none", "severe"]), "as labels, which cannot be"),
        (about(labels=[]), "as labels, which cannot be"),
        (about(task="regression"), "as task, which cannot be"),
        (about(fingerprint="0" * 64), "does not hold the data that its fingerprint stands for"),
        (about(notes=["\x1b[31m"]), "as notes, which cannot be"),
        (table(lambda frame: frame.assign(image="../../etc/passwd")), "as image: its name climbs out"),
        (table(lambda frame: frame.assign(image="/etc/passwd")), "as image: its name leads to a place outside"),
        (table(lambda frame: frame.assign(image="a.png")), "listed more than once"),
        (table(lambda frame: frame.assign(mask="..\\x.png")), "as mask"),
        (table(lambda frame: frame.assign(split="later")), "as split: it must be one of"),
        (table(lambda frame: frame.assign(mild=0.5)), "must be 0, 1 or missing"),
        (table(lambda frame: frame.assign(mild="1")), "column 'mild' .* holds"),
        (table(lambda frame: frame.assign(other=1.0)), "'other', or has it too much"),
        (table(lambda frame: frame.drop(columns="severe")), "lacks the column 'severe'"),
        (table(lambda frame: frame.assign(boxes='[{"label": 1}]')), "no list of boxes"),
        (table(lambda frame: frame.assign(patient_id="x" * 500)), "as patient_id"),
        (table(lambda frame: frame.iloc[:0].astype({"mild": float})), "has no rows|holds"),
        (table(lambda frame: frame.iloc[1:]), "does not hold the data that its fingerprint stands for"),
    ],
)
def test_own_sharing_opens_nothing_that_is_not_what_it_says(films, tmp_path, other_home, change, sentence):
    path = tmp_path / "set.medpeft.zip"
    share_data("films", path)
    rewrite(path, change)
    other_home()
    with pytest.raises(DataError, match=sentence):
        open_data(path)
    assert not list_stored()
    assert not own_dir().exists() or not list(own_dir().iterdir())
    assert not list((datasets_dir() / "uploads").glob("*"))
