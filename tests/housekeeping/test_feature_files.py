"""Cached features: who needs which, what goes, and that a half-written file is known as such."""

import json
import os
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from safetensors.numpy import save_file
from stored_runs import make_run

from medpeft_core.housekeeping.cleaning import remove_features, remove_leftovers
from medpeft_core.housekeeping.feature_files import list_features
from medpeft_core.housekeeping.inventory import take_inventory
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training import features

KEY, OTHER_KEY = "0a" * 16, "1b" * 16
NOTE = {"backbone": "demo_vit", "base_sha256": "c" * 64, "pixels_sha256": "d" * 64}


@pytest.fixture
def store(home: Path) -> RunStore:
    home.mkdir()
    return RunStore(home)


def make_features(home: Path, key: str = KEY, **changes: str) -> Path:
    path = home / "cache" / "features" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {features.METADATA_KEY: json.dumps({**NOTE, **changes})}
    save_file({features.TENSOR: np.zeros((3, 4), np.float32)}, path, note)
    return path


def use_features(home: Path, status: str, *, is_cached: bool = True) -> Run:
    run = make_run(
        home, status=status, method="linear", provenance={"pixels_sha256": NOTE["pixels_sha256"]}, epochs_done=1
    )
    config = run.config()
    config = replace(config, backbone=replace(config.backbone, weights_sha256=NOTE["base_sha256"]))
    run.save_config(replace(config, train=replace(config.train, cached_features=is_cached)))
    return run


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x02\x00\x00\x00\x00\x00\x00\x00{}", b"\x01" + bytes(7) + b"["]
)
def test_damaged_features_are_named_and_go(home: Path, store: RunStore, content: bytes) -> None:
    path = make_features(home)
    path.write_bytes(content)
    use_features(home, "running")
    (info,) = list_features(store)
    assert (info.backbone, info.held_by) == (None, None), "a run would make them anew"
    assert remove_features(store).num_removed == 1
    assert not path.exists()


@pytest.mark.parametrize("status", ["running", "queued"])
def test_remove_features_keeps_what_a_run_needs(home: Path, store: RunStore, status: str) -> None:
    needed = make_features(home)
    others = [
        make_features(home, OTHER_KEY, base_sha256="e" * 64),
        make_features(home, "2c" * 16, pixels_sha256="f" * 64),
    ]
    run = use_features(home, status)
    freed = sum(path.stat().st_size for path in others)
    done = remove_features(store)
    assert (done.num_removed, done.num_bytes) == (2, freed)
    assert done.kept == (f"The features {KEY[:8]} stay: the run {run.run_id} needs them.",)
    assert needed.is_file()
    assert not any(path.exists() for path in others)
    (info,) = take_inventory(home).features
    assert info.held_by == f"the run {run.run_id}"


def test_remove_features_frees_those_of_finished_and_of_other_runs(home: Path, store: RunStore) -> None:
    path = make_features(home)
    use_features(home, "finished")
    use_features(home, "running", is_cached=False)
    assert remove_features(store).num_removed == 1
    assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == [f"{KEY}.lock"]


def test_remove_features_keeps_what_is_being_computed(home: Path, store: RunStore) -> None:
    path = make_features(home)
    with filelock.FileLock(path.with_suffix(".lock")):
        assert remove_features(store).kept == (f"The features {KEY[:8]} stay: a run is computing them at this moment.",)
    assert path.is_file()


def test_remove_features_never_follows_a_link(home: Path, store: RunStore, tmp_path: Path) -> None:
    precious = make_features(tmp_path / "elsewhere")
    folder = home / "cache" / "features"
    folder.mkdir(parents=True)
    (folder / f"{KEY}.safetensors").symlink_to(precious)
    (folder / "notes.txt").write_text("mine")
    assert list_features(store) == []
    assert remove_features(store).num_removed == 0
    assert precious.is_file()
    assert (folder / "notes.txt").is_file()


def test_half_written_features_are_leftovers(home: Path, store: RunStore) -> None:
    path = make_features(home)
    dead, living = (path.with_name(f".{key}.safetensors.x1_.tmp") for key in (KEY, OTHER_KEY))
    for half in (dead, living):
        half.write_bytes(bytes(10))
        os.utime(half, (1e9, 1e9))
    with filelock.FileLock(path.with_name(f"{OTHER_KEY}.lock")):
        done = remove_leftovers(home)
    assert (done.num_removed, done.num_bytes, len(done.kept)) == (1, 10, 1)
    assert not dead.exists()
    assert living.is_file()
    assert path.is_file()
