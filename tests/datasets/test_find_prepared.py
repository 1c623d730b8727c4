"""What is prepared already is found without drawing or decoding, and what is stored about it names no patient."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.prepare import (
    find_prepared,
    hide_patients,
    inspect_dataset,
    prepare_dataset,
    prepare_datasets,
)
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.errors import ConfigError, DataError, UnknownNameError
from medpeft_core.resolve import resolve_data

NUM_PATIENTS = 20


def phantom(dataset: str = "phantom", **settings) -> DataConfig:
    return DataConfig(
        dataset=dataset, options={"num_patients": NUM_PATIENTS, "size": 32}, **{"cache_size": 16, **settings}
    )


def nih(root: Path, **settings) -> DataConfig:
    return DataConfig(dataset="nih", root=str(root), **{"cache_size": 16, **settings})


def draw(data: DataConfig) -> None:
    """Draw the set, as its reader does, but decode nothing."""
    spec = DATASETS[data.dataset]
    options = spec.options(**data.options)
    spec.read_manifest(None, options, split_seed=data.split_seed, progress=ignore_progress)


def put_into_two_splits(root: Path) -> None:
    """NIH's own lists for `make_nih(20)` with the patients 1 and 2 in both."""
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    (root / "train_val_list.txt").write_text("\n".join(names[1:3] + names[4:48]))
    (root / "test_list.txt").write_text("\n".join([names[0], names[3], *names[48:]]))


def assert_equal(found, prepared) -> None:
    assert found.fingerprint == prepared.fingerprint
    assert found.pixels_sha256 == prepared.pixels_sha256
    assert found.manifest.table.equals(prepared.manifest.table)
    assert found.manifest.notes == prepared.manifest.notes
    np.testing.assert_array_equal(found.cache_rows, prepared.cache_rows)
    assert found.report == prepared.report


@pytest.mark.parametrize("dataset", ["phantom", "phantom_shortcut"])
def test_find_prepared_draws_and_decodes_nothing(dataset, home):
    data = phantom(dataset)
    assert find_prepared(data) is None
    assert not home.exists()
    draw(data)
    files = sorted(home.rglob("*"))
    assert find_prepared(data) is None
    assert sorted(home.rglob("*")) == files


@pytest.mark.parametrize("dataset", ["phantom", "phantom_shortcut"])
def test_find_prepared_gives_what_prepare_dataset_gave(dataset):
    data = phantom(dataset)
    prepared = prepare_dataset(data)
    assert_equal(find_prepared(data), prepared)
    assert find_prepared(replace(data, cache_size=17)) is None
    assert find_prepared(replace(data, options={**data.options, "seed": 1})) is None


def test_find_prepared_sees_another_split_of_drawn_phantoms():
    prepare_dataset(phantom())
    assert_equal(find_prepared(phantom(split_seed=1)), prepare_dataset(phantom(split_seed=1)))


def test_find_prepared_takes_inspected_data(make_nih):
    """A job inspects a data set; training must find the pixels afterwards, also where it splits anew."""
    root = make_nih()
    put_into_two_splits(root)
    inspect_dataset(nih(root))
    found = find_prepared(nih(root, patient_overlap="resplit"))
    assert_equal(found, prepare_dataset(nih(root, patient_overlap="resplit")))


def test_find_prepared_sees_changed_files_and_damaged_caches(make_nih):
    root = make_nih()
    assert find_prepared(nih(root)) is None
    prepared = prepare_dataset(nih(root))
    image = prepared.manifest.paths()[0]
    before = image.stat()
    os.utime(image, ns=(0, before.st_mtime_ns + 1_000_000_000))
    assert find_prepared(nih(root)) is None
    os.utime(image, ns=(0, before.st_mtime_ns))
    assert find_prepared(nih(root)) is not None
    (prepared.cache.folder / "index.json").write_text("{")
    assert find_prepared(nih(root)) is None


def test_find_prepared_tells_what_is_wrong(make_nih, tmp_path):
    root = make_nih()
    put_into_two_splits(root)
    with pytest.raises(DataError, match="2 patients are in more than one split"):  # nothing was decoded yet
        find_prepared(nih(root))
    with pytest.raises(DataError, match="does not exist"):
        find_prepared(nih(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds neither"):
        find_prepared(nih(tmp_path))
    with pytest.raises(DataError, match="is not an empty folder and holds no synthetic set"):
        find_prepared(phantom(root=str(root)))
    with pytest.raises(ConfigError, match="num_patients is 3"):
        find_prepared(DataConfig(dataset="phantom", options={"num_patients": 3}))
    with pytest.raises(UnknownNameError):
        find_prepared(DataConfig(dataset="unheard_of"))


def test_find_prepared_refuses_unreadable_images_like_prepare_dataset(make_nih):
    root = make_nih()
    (root / "images/00000001_000.png").write_bytes(b"")
    inspect_dataset(nih(root))
    with pytest.raises(DataError, match=r"1 of 60 images cannot be read: images/00000001_000\.png"):
        find_prepared(nih(root))
    assert len(find_prepared(nih(root, unreadable="drop")).manifest) == 59


def test_prepare_datasets_prepares_each_distinct_set_once(make_nih):
    root = make_nih()
    told = []
    sections = [nih(root), nih(root, fraction=0.1, fraction_seed=3), phantom(), nih(root, split_seed=1)]
    sections = [resolve_data(data) for data in sections]
    prepared = prepare_datasets(sections, progress=lambda what, done, total: told.append((what, done)))
    assert told.count(("reading tables", 0)) == 2
    assert prepared[0] is prepared[1]
    assert [data.manifest.dataset for data in prepared] == ["nih", "nih", "phantom", "nih"]
    assert prepared[0].fingerprint != prepared[3].fingerprint


def test_prepare_datasets_that_may_not_decode_says_what_to_do(make_nih):
    root = make_nih()
    with pytest.raises(DataError, match=r"not been prepared at 16 pixels.* on the Data page .*core prepare nih"):
        prepare_datasets([nih(root)], may_decode=False)
    prepare_dataset(nih(root))
    assert len(prepare_datasets([nih(root)], may_decode=False)) == 1


def test_hide_patients_leaves_no_patient_id_in_a_report(make_nih):
    root = make_nih()
    put_into_two_splits(root)
    report = inspect_dataset(nih(root))
    hidden = hide_patients(report)
    assert list(report.overlap["examples"]) == ["1", "2"]
    assert all(len(name) == 16 for name in hidden.overlap["examples"])
    assert list(hidden.overlap["examples"].values()) == list(report.overlap["examples"].values())
    known = prepare_dataset(nih(root, patient_overlap="keep")).manifest.table["patient_id"]
    assert set(hidden.overlap["examples"]) <= set(known)
    assert "medpeft_core prepare nih" in hidden.notes[-1]
    whole = inspect_dataset(phantom())
    assert hide_patients(whole) == whole
