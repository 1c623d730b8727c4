"""The lab's folders, and files that are whole at any moment."""

import os
from pathlib import Path

import pytest

from medpeft_core import paths


def fail_halfway(temporary: Path) -> None:
    temporary.write_text("half of it", encoding="utf-8")
    raise OSError("the disk is full")


def test_home_is_the_variable(home: Path) -> None:
    assert paths.get_home() == home
    assert paths.datasets_dir() == home / "datasets"
    assert paths.cache_dir() == home / "cache"
    assert paths.weights_dir() == home / "weights"
    assert paths.runs_dir() == home / "runs"
    assert not home.exists(), "asking for a folder must not make it"


def test_home_expands_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MEDPEFT_HOME", "~/lab")
    assert paths.get_home() == tmp_path.resolve() / "lab"


def test_home_is_absolute_also_for_a_relative_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDPEFT_HOME", "lab")
    assert paths.get_home() == tmp_path.resolve() / "lab"


@pytest.mark.parametrize("value", [None, ""])
def test_home_is_the_platforms_data_folder_by_default(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("MEDPEFT_HOME")
    else:
        monkeypatch.setenv("MEDPEFT_HOME", value)
    assert paths.get_home().is_absolute()
    assert "medpeft" in paths.get_home().parts


def test_ensure_dir_makes_parents_and_may_be_called_twice(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert paths.ensure_dir(folder) == folder
    assert paths.ensure_dir(folder).is_dir()


def test_write_atomically_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old", encoding="utf-8")
    paths.write_atomically(path, lambda temporary: temporary.write_bytes(b"new") and None)
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["state.json"]


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="the disk is full"):
        paths.write_atomically(path, fail_halfway)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["state.json"]


def test_write_atomically_leaves_nothing_when_a_new_file_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the disk is full"):
        paths.write_atomically(tmp_path / "state.json", fail_halfway)
    assert os.listdir(tmp_path) == []


def test_write_atomically_cleans_up_after_ctrl_c(tmp_path: Path) -> None:
    def interrupt(temporary: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paths.write_atomically(tmp_path / "state.json", interrupt)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permission bits of POSIX")
def test_write_atomically_makes_files_that_a_group_can_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    paths.write_json(path, {})
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_json_round_trips(tmp_path: Path) -> None:
    value = {"name": "Ödem", "numbers": [1, 0.1, None, True], "table": {"a": {}}}
    paths.write_json(tmp_path / "value.json", value)
    assert paths.read_json(tmp_path / "value.json") == value
    assert (tmp_path / "value.json").read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_write_json_refuses_what_is_not_json(number: float, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    paths.write_json(path, {"auroc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        paths.write_json(path, {"auroc": number})
    assert paths.read_json(path) == {"auroc": 0.5}
    assert os.listdir(tmp_path) == ["metrics.json"]
