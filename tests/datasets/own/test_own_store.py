"""Own data sets under their names: stored whole or not at all, found by every part of the lab, gone when removed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from own_files import make_folders, make_table, write_images

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.own.store import HALF_PREFIX, add_data, remove_data, suggest_name
from medpeft_core.datasets.own.stored_sets import list_stored, own_dir
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.views import view_key
from medpeft_core.errors import DataError, UnknownNameError
from medpeft_core.paths import datasets_dir
from medpeft_core.resolve import resolve_data


def add(root: Path | None, name: str = "films", **more) -> dict:
    place = None if root is None else str(root)
    return add_data(name=name, **{"form": "folder", "options": {"patient_pattern": "{id}_*"}, "root": place, **more})


def test_own_store_makes_a_data_set_of_it(tmp_path):
    stored = add(make_folders(tmp_path / "in"), title=" My  films ")
    assert stored["data"] == {"dataset": "films"}
    assert (stored["title"], stored["labels"]) == ("My films", ["ill", "normal"])
    assert stored["counts"]["images"] == 12
    assert DATASETS.names()[-1] == "films"
    assert "films" in DATASETS
    assert [spec.name for spec in DATASETS][-1] == "films"
    assert len(DATASETS) == len(DATASETS.names())
    spec = DATASETS["films"]
    assert (spec.title, spec.task, spec.labels, spec.needs_root) == ("My films", "multiclass", ("ill", "normal"), False)
    prepared = prepare_dataset(DataConfig(dataset="films", cache_size=16))
    assert prepared.report.num_patients == 6
    assert not {"i00", "n00"} & set(prepared.manifest.patient_ids)
    kept = b"".join(path.read_bytes() for path in (own_dir() / "films").iterdir())
    assert b'"i00"' not in kept


def test_own_store_looks_into_the_home_of_the_moment(tmp_path, monkeypatch):
    add(make_folders(tmp_path / "in"))
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    assert "films" not in DATASETS.names()
    with pytest.raises(UnknownNameError, match="no data set 'films'"):
        DATASETS["films"]
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    assert DATASETS["films"].name == "films"


@pytest.mark.parametrize("name", ["Films", "1films", "my films", "../films", "", "x" * 41, "nih", "folder", "taken"])
def test_own_store_refuses_names_that_are_none_or_taken(tmp_path, name):
    root = make_folders(tmp_path / "in")
    add(root, "taken")
    with pytest.raises(DataError, match="is no name|There is a data set"):
        add(root, name)
    assert list(list_stored()) == ["taken"]


def test_own_store_suggests_free_names(tmp_path):
    assert suggest_name("Röntgen 2024/Fälle") == "r_ntgen_2024_f_lle"
    assert suggest_name("2024") == "data_2024"
    assert suggest_name("") == "my_data"
    assert suggest_name("nih") == "nih_2"
    add(make_folders(tmp_path / "in"), "films")
    assert suggest_name("films") == "films_2"


def test_own_store_tells_sets_of_one_name_apart(tmp_path):
    first = add(make_folders(tmp_path / "in"))
    key = view_key(DataConfig(dataset="films"))
    kept = resolve_data(DataConfig(dataset="films"))
    remove_data("films")
    second = add(make_folders(tmp_path / "more", count=8))
    assert first["fingerprint"] != second["fingerprint"]
    assert view_key(DataConfig(dataset="films")) != key
    with pytest.raises(DataError, match="The data set films has changed"):
        prepare_dataset(kept)


def test_own_store_asks_for_the_folder_when_the_images_have_moved(tmp_path):
    root = make_folders(tmp_path / "in")
    add(root)
    root.rename(tmp_path / "moved")
    assert DATASETS["films"].needs_root
    with pytest.raises(DataError, match=r"--root FOLDER \(data.root\).*Its images were in .*/in, which is gone"):
        prepare_dataset(DataConfig(dataset="films"))
    assert len(prepare_dataset(DataConfig(dataset="films", root=str(tmp_path / "moved"), cache_size=16)).manifest) == 12
    write_images(tmp_path / "wrong", "1.png")
    with pytest.raises(DataError, match="None of the images of films is in .*/wrong"):
        prepare_dataset(DataConfig(dataset="films", root=str(tmp_path / "wrong")))


def test_own_store_takes_over_an_upload_and_removes_it_with_the_set(tmp_path, home):
    upload = make_table(
        home / "cache" / "uploads" / "own-1", "file,mass\n" + "".join(f"{n:02d}.png,{n % 2}\n" for n in range(12))
    )
    stored = add(None, form="table", options={"table": "labels.csv"}, upload=str(upload))
    place = datasets_dir() / "uploads" / "films"
    assert stored["root"] == "datasets/uploads/films"
    assert not upload.exists()
    assert (place / "images" / "00.png").is_file()
    assert len(prepare_dataset(DataConfig(dataset="films", cache_size=16)).manifest) == 12
    assert remove_data("films") == {"name": "films", "removed_images": True}
    assert not place.exists()
    assert "films" not in DATASETS
    with pytest.raises(DataError, match="no data set of your own called 'films'"):
        remove_data("films")
    with pytest.raises(DataError, match="The upload .* is gone"):
        add(None, upload=str(tmp_path / "outside"))
    with pytest.raises(DataError, match="The upload .* is gone"):
        add(None, upload=str(own_dir()))
    make_folders(tmp_path / "in")
    add(tmp_path / "in")
    assert remove_data("films")["removed_images"] is False
    assert (tmp_path / "in" / "ill").is_dir()


def test_own_store_keeps_nothing_of_what_was_refused_or_stopped(tmp_path, home):
    class StopError(Exception):
        pass

    def stop(what, done, total):
        if what == "storing":
            raise StopError

    upload = make_folders(home / "cache" / "uploads" / "own-1")
    with pytest.raises(StopError):
        add(None, upload=str(upload), progress=stop)
    with pytest.raises(DataError, match="lie in no folders"):
        add(upload / "ill")
    assert (upload / "ill").is_dir()
    assert not own_dir().exists() or not list(own_dir().iterdir())
    assert not list_stored()


def test_own_store_is_whole_or_absent_after_a_kill(tmp_path, home):
    """A process that is killed between its last write and the name of the set leaves no set, and the name is free."""
    root = make_folders(tmp_path / "in")
    code = (
        "import time\n"
        "from medpeft_core.datasets.own import store\n"
        "def wait(folder):\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
        "store.sync_files = wait\n"
        f"store.add_data(name='films', form='folder', root={str(root)!r})\n"
    )
    project = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    (half,) = own_dir().iterdir()
    assert half.name.startswith(HALF_PREFIX)
    assert "films" not in DATASETS
    os.utime(half, (time.time() - 10 * 86400,) * 2)
    add(root)
    assert [path.name for path in own_dir().iterdir()] == ["films"]


def test_own_store_passes_over_damaged_sets(tmp_path):
    add(make_folders(tmp_path / "in"))
    (own_dir() / "films" / "about.json").write_text("{}")
    assert "films" not in DATASETS
    with pytest.raises(DataError, match="is there already, but damaged"):
        add(tmp_path / "in")
    (own_dir() / "films" / "about.json").unlink()
    (own_dir() / "films" / "manifest.parquet").unlink()
    (own_dir() / "films").rmdir()
    add(tmp_path / "in")
    (own_dir() / "films" / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="The stored data set films is damaged"):
        prepare_dataset(DataConfig(dataset="films"))


def test_own_store_splits_as_a_data_section_says(tmp_path):
    root = make_folders(tmp_path / "in", count=20)
    first = add(root, "one")["fingerprint"]
    assert add(root, "two", data={"split_seed": 5})["fingerprint"] != first
    assert add(root, "three", data={"split_seed": 0})["fingerprint"] == first
    assert "split" in " ".join(add(root, "four", data={"split": "patient", "split_seed": 5})["notes"])
