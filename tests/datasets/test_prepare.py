"""From config to data that can be trained on, on made NIH folders and on the real sample."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import medpeft_core.datasets.nih  # noqa: F401 (registers the data set)
from medpeft_core.config import DataConfig
from medpeft_core.datasets.pixels import load_for_model
from medpeft_core.datasets.prepare import PreparedData, inspect_dataset, prepare_dataset
from medpeft_core.datasets.privacy import load_home_key, pseudonymise
from medpeft_core.datasets.splits import UNCHECKED_NOTE
from medpeft_core.errors import ConfigError, DataError, UnknownNameError


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


def prepare(root: Path, **settings) -> PreparedData:
    return prepare_dataset(DataConfig(**{"dataset": "nih", "root": str(root), "cache_size": 16, **settings}))


def inspect(root: Path, **settings):
    return inspect_dataset(DataConfig(**{"dataset": "nih", "root": str(root), "cache_size": 16, **settings}))


def list_with_overlap(root: Path) -> None:
    """The papers' lists for `make_nih(20)` with patient 1 in train, val and test."""
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    parts = {"train": [names[0], *names[3:]][:40], "val": [names[1], *names[42:48]], "test": [names[2], *names[48:]]}
    for part, own in parts.items():
        (root / f"{part}_list.txt").write_text("\n".join(name + " 0" * 13 + " 1" for name in own))


def break_files(root: Path) -> None:
    """Three unreadable images: cut off, empty, and text."""
    cut = root / "images/00000001_000.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (root / "images/00000001_001.png").write_bytes(b"")
    (root / "images/00000003_002.png").write_text("not an image")


def test_prepare_dataset_gives_pixels_of_each_row(make_nih):
    data = prepare(make_nih())
    assert len(data.manifest) == len(data.cache_rows) == data.cache.num_images == 60
    for row in (0, 17, 59):
        np.testing.assert_array_equal(
            data.cache.get(data.cache_rows[row]), load_for_model(data.manifest.paths()[row], 16)[0]
        )
    assert data.spec.name == "nih"


def test_prepare_dataset_stores_no_raw_patient_id(make_nih):
    data = prepare(make_nih())
    ids = data.manifest.table["patient_id"]
    assert ids.str.fullmatch("[0-9a-f]{16}").all()
    assert ids.nunique() == 20
    assert (ids.groupby(data.manifest.table["image"].str[7:15]).nunique() == 1).all()


def test_prepare_dataset_has_one_fingerprint_in_all_homes(make_nih, monkeypatch, tmp_path):
    root = make_nih()
    first = prepare(root)
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    second = prepare(root)
    assert first.fingerprint == second.fingerprint
    assert set(first.manifest.table["patient_id"]).isdisjoint(second.manifest.table["patient_id"])
    assert prepare(root, split_seed=1).fingerprint != first.fingerprint


def test_prepare_dataset_decodes_once(make_nih, home):
    root = make_nih()
    first = prepare(root)
    told = []
    again = prepare_dataset(
        DataConfig(dataset="nih", root=str(root), cache_size=16), progress=lambda what, *_: told.append(what)
    )
    assert "decoding images" not in told
    assert again.cache.folder == first.cache.folder
    assert again.cache.folder.parent == home / "cache" / "pixels"


def test_prepare_dataset_sees_a_changed_file(make_nih):
    root = make_nih()
    first = prepare(root)
    before = np.array(first.cache.get(0))
    path = first.manifest.paths()[0]
    Image.fromarray(np.full((20, 20), 7, np.uint8)).save(path)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
    second = prepare(root)
    assert second.cache.folder != first.cache.folder
    assert (second.cache.get(0) == 7).all()
    np.testing.assert_array_equal(first.cache.get(0), before)  # the old cache is as it was


def test_prepare_dataset_can_be_stopped(make_nih, home):
    def stop(what: str, done: int, total: int) -> None:
        if what == "decoding images":
            raise StoppedError

    config = DataConfig(dataset="nih", root=str(make_nih()), cache_size=16)
    with pytest.raises(StoppedError):
        prepare_dataset(config, progress=stop)
    assert [path for path in (home / "cache/pixels").iterdir() if path.suffix != ".lock"] == []
    assert len(prepare_dataset(config).manifest) == 60


def test_prepare_dataset_refuses_overlap_and_says_where_it_is(make_nih):
    root = make_nih()
    list_with_overlap(root)
    with pytest.raises(
        DataError, match=r"1 patient is in more than one split \(1 in train and val and test\).*=resplit.*=keep"
    ):
        prepare(root)
    assert prepare(root, patient_overlap="keep").report.overlap["num_patients"] == 1
    split_anew = prepare(root, patient_overlap="resplit")
    assert split_anew.report.overlap["num_patients"] == 0
    assert any("split anew" in note for note in split_anew.report.notes)


def test_prepare_dataset_refuses_unreadable_images_with_reasons(make_nih):
    root = make_nih()
    break_files(root)
    with pytest.raises(DataError) as caught:
        prepare(root)
    assert str(caught.value) == (
        "3 of 60 images cannot be read: images/00000001_000.png (is cut off or damaged), images/00000001_001.png "
        "(is empty (0 bytes)), images/00000003_002.png (is not a PNG, JPEG, BMP, TIFF or DICOM image). Repair or "
        "remove them, or train without them: --set data.unreadable=drop"
    )


def test_prepare_dataset_drops_unreadable_images(make_nih):
    root = make_nih()
    whole = prepare(root)
    break_files(root)
    data = prepare(root, unreadable="drop")
    assert len(data.manifest) == 57
    assert data.cache.num_images == 60
    for row in range(57):
        np.testing.assert_array_equal(
            data.cache.get(data.cache_rows[row]), load_for_model(data.manifest.paths()[row], 16)[0]
        )
    assert data.fingerprint != whole.fingerprint
    assert data.report.unreadable["total"] == 3
    assert data.report.num_images == 57
    assert any(note.startswith("3 of 60 images cannot be read and were left out") for note in data.report.notes)
    assert not any("unreadable" in sentence for sentence in data.report.advice)


def test_prepare_dataset_refuses_when_nothing_can_be_read(make_nih):
    root = make_nih(num_patients=3)
    for path in (root / "images").iterdir():
        path.write_text("no image")
    with pytest.raises(DataError, match="None of the 9 images of nih can be read"):
        prepare(root, unreadable="drop")


def test_prepare_dataset_needs_every_split(make_nih):
    root = make_nih(num_patients=2)
    with pytest.raises(DataError, match=r"nih has no .* images \(found: .*\), but training needs at least one each"):
        prepare(root)
    assert any("training needs some in every split" in sentence for sentence in inspect(root).advice)


def test_prepare_dataset_explains_a_wrong_config(make_nih, tmp_path):
    with pytest.raises(DataError, match=r"NIH ChestX-ray14 needs the folder it lies in\. Give it with --root FOLDER"):
        prepare_dataset(DataConfig(dataset="nih"))
    with pytest.raises(DataError, match=r"^The folder .*nowhere does not exist\. Give the folder that holds NIH"):
        prepare(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv is a file, not a folder\. Give the folder"):
        prepare(make_nih() / "Data_Entry_2017.csv")
    with pytest.raises(ConfigError, match=r"There is no setting data\.colour\. Settings of data: lists"):
        prepare(tmp_path, options={"colour": 1})
    with pytest.raises(UnknownNameError, match="Did you mean 'nih'"):
        prepare(tmp_path, dataset="nhi")


def test_prepare_dataset_without_patients_says_what_it_could_not_check(make_nih):
    root = make_nih()
    path = root / "Data_Entry_2017.csv"
    table = pd.read_csv(path, dtype=str).assign(**{"Patient ID": ""})
    table.to_csv(path, index=False)
    data = prepare(root)
    assert UNCHECKED_NOTE in data.manifest.notes
    assert data.manifest.table["patient_id"].isna().all()
    assert UNCHECKED_NOTE in inspect(root).notes


def test_inspect_dataset_tells_instead_of_refusing(make_nih):
    root = make_nih()
    list_with_overlap(root)
    break_files(root)
    report = inspect(root)
    assert report.overlap == {"num_patients": 1, "examples": {"1": ["train", "val", "test"]}}
    assert report.unreadable["total"] == 3
    assert report.unreadable["examples"][1] == {"image": "images/00000001_001.png", "reason": "is empty (0 bytes)"}
    advice = " ".join(report.advice)
    assert "data.patient_overlap=resplit" in advice
    assert "data.unreadable=drop" in advice
    json.dumps(report.to_dict(), allow_nan=False)
    assert "00000003_002.png is not a PNG" in report.to_text()


def test_prepare_dataset_reads_the_real_sample(nih_sample):
    data = prepare(nih_sample, cache_size=256)
    assert {name: split["num_images"] for name, split in data.report.splits.items()} == {
        "train": 503,
        "val": 77,
        "test": 201,
    }
    assert data.report.overlap["num_patients"] == 0
    assert data.report.unreadable["total"] == 0
    assert data.cache.array().shape == (781, 1, 256, 256)
    for split in ("train", "val", "test"):
        listed = {line.split()[0] for line in (nih_sample / f"{split}_list.txt").read_text().splitlines()}
        assert {name.rpartition("/")[2] for name in data.manifest.split(split).table["image"]} == listed
    with Image.open(data.manifest.paths()[5]) as film:
        np.testing.assert_array_equal(data.cache.array()[5, 0], np.asarray(film))


def test_pseudonymise_is_a_keyed_function_of_the_id():
    ids = pd.Series(["61", "61", "7", None], dtype=object)
    pseudonyms = pseudonymise(ids, b"k" * 32)
    assert pseudonyms.iloc[0] == pseudonyms.iloc[1] != pseudonyms.iloc[2]
    assert pseudonyms.iloc[0] == "3335c479ef034b07"  # of openssl dgst -sha256 -hmac
    assert pseudonyms.isna().tolist() == [False, False, False, True]
    assert pseudonymise(ids, b"x" * 32).iloc[0] != pseudonyms.iloc[0]


def test_load_home_key_is_made_once_and_private(home):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_home_key(), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    if os.name == "posix":
        assert stat.S_IMODE((home / "privacy.key").stat().st_mode) == 0o600
    (home / "privacy.key").write_bytes(b"short")
    with pytest.raises(DataError, match=r"privacy\.key, has 5 bytes instead of 32|has 5 bytes instead of 32"):
        load_home_key()
