"""What is kept of a prepared data set for pages: found at once, without patient ids; changed files are seen."""

import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import find_view, inspect_dataset, prepare_dataset
from medpeft_core.datasets.privacy import load_home_key, pseudonymise
from medpeft_core.datasets.views import check_sources, list_views, load_view, view_key, view_path
from medpeft_core.errors import DataError


def nih(root: Path, **settings) -> DataConfig:
    return DataConfig(dataset="nih", root=str(root), **{"cache_size": 16, **settings})


def phantom() -> DataConfig:
    return DataConfig(dataset="phantom", options={"num_patients": 20, "size": 32}, cache_size=16)


def test_find_view_gives_nothing_before_a_set_is_prepared(make_nih, home):
    assert find_view(nih(make_nih())) is None
    assert find_view(phantom()) is None
    assert not home.exists()


@pytest.mark.parametrize("prepare", [inspect_dataset, prepare_dataset])
def test_find_view_gives_what_was_kept_without_reading_the_set_again(make_nih, prepare, monkeypatch):
    data = nih(make_nih())
    prepare(data)
    monkeypatch.setattr("medpeft_core.datasets.prepare._read_present", None)  # reading again would call it
    view = find_view(data)
    assert view.report["num_images"] == len(view.manifest) == 60
    assert view.has_pixels
    assert check_sources(view) == "fresh"
    assert view.find_row("images/00000001_002.png") == 2
    assert view.find_row("unheard_of.png") is None


def test_find_view_looks_again_where_nothing_was_kept(make_nih):
    """A set that an earlier version of the lab prepared is shown at once, not prepared anew."""
    data = nih(make_nih())
    inspect_dataset(data)
    kept = find_view(data)
    view_path(view_key(data)).unlink()
    found = find_view(data)
    assert found.report == kept.report
    assert found.manifest.table.equals(kept.manifest.table)
    assert view_path(view_key(data)).exists()


def test_view_holds_pseudonyms_only(make_nih):
    root = make_nih()
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    (root / "train_val_list.txt").write_text("\n".join(names[1:48]))
    (root / "test_list.txt").write_text("\n".join([names[0], *names[48:]]))
    inspect_dataset(nih(root))
    view = find_view(nih(root))
    expected = pseudonymise(pd.Series(["1"]), load_home_key())[0]
    assert view.manifest.table["patient_id"].iloc[0] == expected
    assert list(view.report["overlap"]["examples"]) == [expected]
    assert view.manifest.has_patients


def test_view_is_the_same_for_settings_that_change_no_image(make_nih):
    root = make_nih()
    assert view_key(nih(root)) == view_key(nih(root, fraction=0.1, unreadable="drop", cache_size=32))
    assert view_key(nih(root)) == view_key(nih(root, options={"lists": "auto"}))
    assert view_key(nih(root)) != view_key(nih(root, split_seed=1))


def test_check_sources_sees_changed_tables_new_images_and_folders_that_are_gone(make_nih):
    root = make_nih()
    inspect_dataset(nih(root))
    view = find_view(nih(root))
    table = root / "Data_Entry_2017.csv"
    before = table.stat()
    table.write_text(table.read_text().replace("Hernia", "Nodule"))
    assert check_sources(view) == "changed"
    table.write_text(table.read_text().replace("Nodule", "Hernia"))
    os.utime(table, ns=(0, before.st_mtime_ns))
    assert check_sources(view) == "fresh"
    (root / "images/00000001_000.png").unlink()
    assert check_sources(view) == "changed"
    shutil.rmtree(root / "images")
    assert check_sources(view) == "gone"


def test_view_moves_with_its_home(home, tmp_path, monkeypatch):
    data = phantom()
    inspect_dataset(data)
    key = view_key(data)
    home.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "elsewhere"))
    view = load_view(key)
    assert view.has_pixels
    assert view.manifest.paths()[0].is_file()
    assert check_sources(view) == "fresh"
    assert view_key(data) == key


def test_view_without_patient_ids_keeps_them_missing(make_nih):
    root = make_nih()
    table = pd.read_csv(root / "Data_Entry_2017.csv", dtype=str).assign(**{"Patient ID": ""})
    table.to_csv(root / "Data_Entry_2017.csv", index=False)
    inspect_dataset(nih(root))
    view = find_view(nih(root))
    assert view.manifest.table["patient_id"].isna().all()
    assert not view.manifest.has_patients


def test_damaged_view_counts_as_none(make_nih):
    data = nih(make_nih())
    inspect_dataset(data)
    path = view_path(view_key(data))
    path.write_bytes(path.read_bytes()[:500])
    assert load_view(view_key(data)) is None
    assert list_views() == []
    assert find_view(data) is not None


def test_prepare_dataset_renews_a_view_of_other_files(make_nih):
    root = make_nih()
    inspect_dataset(nih(root))
    table = root / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Hernia", "Nodule"))
    prepare_dataset(nih(root))
    view = find_view(nih(root))
    assert check_sources(view) == "fresh"
    assert (view.manifest.table["Nodule"] == 1).sum() == 20


def test_list_views_names_the_newest_first(make_nih):
    inspect_dataset(phantom())
    time.sleep(0.01)
    inspect_dataset(nih(make_nih()))
    newest, older = list_views()
    assert (newest["data"]["dataset"], newest["num_images"]) == ("nih", 60)
    assert older["data"]["dataset"] == "phantom"


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "0123456789abcdeg", "0123456789abcdef0"])
def test_view_path_refuses_what_is_no_key(text):
    with pytest.raises(DataError, match="names no data set"):
        view_path(text)
