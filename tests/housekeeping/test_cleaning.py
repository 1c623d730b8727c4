"""Cleaning a home: what goes, what stays because somebody needs it, and that nothing outside is ever touched."""

import os
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image
from stored_runs import make_run

from medpeft_core.datasets.cache_notes import note_use, read_note
from medpeft_core.datasets.pixels import build_pixel_cache
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.housekeeping.cleaning import remove_bases, remove_caches, remove_leftovers, remove_pictures
from medpeft_core.housekeeping.inventory import list_bases, list_caches, take_inventory
from medpeft_core.housekeeping.usage import compute_pixels_sha256
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore

KEY, OTHER_KEY = "0a" * 16, "1b" * 16
OLD = time.time() - 86_400


@pytest.fixture
def store(home: Path) -> RunStore:
    home.mkdir()
    return RunStore(home)


@pytest.fixture
def jobs(home: Path) -> JobStore:
    return JobStore(home)


def make_cache(home: Path, key: str = KEY, *, seed: int = 0) -> Path:
    """A real pixel cache of three images."""
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(3):
        path = home.parent / f"images-{seed}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
        paths.append(path)
    folder = home / "cache" / "pixels" / key
    build_pixel_cache(paths, cache_size=64, folder=folder, progress=ignore_progress)
    return folder


def make_base(home: Path, digit: str, *, age_s: float = 86_400.0) -> Path:
    path = home / "weights" / f"{digit * 64}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(1000))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def use_cache(home: Path, folder: Path, status: str) -> Run:
    """A run that was trained on a cache, or trains on it."""
    settings = {"data": {"cache_size": 64}}
    sha256 = compute_pixels_sha256(folder)
    return make_run(home, status=status, epochs_done=1, settings=settings, provenance={"pixels_sha256": sha256})


def use_base(home: Path, path: Path) -> Run:
    run = make_run(home)
    config = run.config()
    run.save_config(replace(config, backbone=replace(config.backbone, weights_sha256=path.name[:64])))
    return run


def test_list_caches_tells_whose_images_they_are(home: Path, store: RunStore, jobs: JobStore) -> None:
    folder = make_cache(home)
    (info,) = list_caches(store, jobs)
    assert (info.name, info.num_images, info.cache_size, info.dataset) == (KEY, 3, 64, None)
    assert info.decode_s is not None
    run = use_cache(home, folder, "finished")
    (info,) = list_caches(store, jobs)
    assert (info.dataset, info.run_ids, info.held_by) == ("phantom", (run.run_id,), None)
    note_use(folder, dataset="nih", root="/data/nih")
    (info,) = list_caches(store, jobs)
    assert (info.dataset, info.root) == ("nih", "/data/nih")
    assert info.num_bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_remove_caches_frees_what_nobody_needs(home: Path, store: RunStore, jobs: JobStore) -> None:
    folder, other = make_cache(home), make_cache(home, OTHER_KEY, seed=1)
    use_cache(home, folder, "finished")
    size = sum(path.stat().st_size for path in folder.iterdir())
    done = remove_caches(store, jobs, [KEY])
    assert (done.num_removed, done.num_bytes, done.kept) == (1, size, ())
    assert not folder.exists()
    assert other.is_dir()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".trash")] == []


@pytest.mark.parametrize("status", ["running", "queued"])
def test_remove_caches_keeps_what_a_run_needs(home: Path, store: RunStore, jobs: JobStore, status: str) -> None:
    folder = make_cache(home)
    run = use_cache(home, folder, status)
    done = remove_caches(store, jobs, [KEY])
    assert done.num_removed == 0
    assert run.run_id in done.kept[0]
    assert folder.is_dir()


def test_remove_caches_knows_other_pixels_from_those_of_a_run(home: Path, store: RunStore, jobs: JobStore) -> None:
    use_cache(home, make_cache(home), "running")
    other = make_cache(home, OTHER_KEY, seed=1)
    assert remove_caches(store, jobs, [OTHER_KEY]).num_removed == 1
    assert not other.exists()


def test_remove_caches_keeps_what_is_being_decoded(home: Path, store: RunStore, jobs: JobStore) -> None:
    folder = make_cache(home)
    with filelock.FileLock(folder.parent / f"{KEY}.lock"):
        done = remove_caches(store, jobs, [KEY])
    assert "decoding them at this moment" in done.kept[0]
    assert folder.is_dir()


def test_remove_caches_keeps_what_a_job_prepares(home: Path, store: RunStore, jobs: JobStore, monkeypatch) -> None:
    folder = make_cache(home)
    note_use(folder, dataset="phantom", root=None)
    job = jobs.start("prepare", "Preparing phantoms", data={"dataset": "phantom", "cache_size": 64})
    monkeypatch.setattr(JobStore, "list_jobs", lambda self: [job])
    monkeypatch.setattr(type(job), "is_finished", False)
    done = remove_caches(store, jobs, [KEY])
    jobs._processes[job.job_id].kill()
    jobs._processes[job.job_id].wait()
    assert "Preparing phantoms" in done.kept[0]
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["../../runs", "..", "", "/etc", f"{KEY}/..", "*"])
def test_remove_caches_takes_names_of_caches_only(home: Path, store: RunStore, jobs: JobStore, name: str) -> None:
    folder = make_cache(home)
    assert remove_caches(store, jobs, [name]).num_removed == 0
    assert folder.is_dir()


def test_remove_caches_never_follows_a_link(home: Path, store: RunStore, jobs: JobStore, tmp_path: Path) -> None:
    """A link inside the home must not lead a clean-up to the user's own images."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "index.json").write_text("{}")
    pixels = home / "cache" / "pixels"
    pixels.mkdir(parents=True)
    (pixels / KEY).symlink_to(precious)
    assert remove_caches(store, jobs, [KEY]).num_removed == 0
    folder = make_cache(home, OTHER_KEY)
    (folder / "inside").symlink_to(precious)
    assert remove_caches(store, jobs, [OTHER_KEY]).num_removed == 1
    assert (precious / "index.json").is_file()


def test_remove_caches_leaves_a_cache_that_lies_elsewhere(
    home: Path, store: RunStore, jobs: JobStore, tmp_path: Path
) -> None:
    make_cache(home)
    (home / "cache").rename(tmp_path / "scratch")
    (home / "cache").symlink_to(tmp_path / "scratch")
    assert list_caches(store, jobs) == []
    assert remove_caches(store, jobs, [KEY]).num_removed == 0
    assert (tmp_path / "scratch" / "pixels" / KEY).is_dir()


def test_a_removed_cache_is_built_again(home: Path, store: RunStore, jobs: JobStore) -> None:
    folder = make_cache(home)
    before = (folder / "pixels.u8").read_bytes()
    remove_caches(store, jobs, [KEY])
    assert (make_cache(home) / "pixels.u8").read_bytes() == before


def test_note_use_tells_when_and_costs_nothing_twice(home: Path, store: RunStore) -> None:
    folder = make_cache(home)
    note_use(folder, dataset="nih", root="/data")
    first = (folder / "about.json").stat().st_mtime_ns
    note_use(folder, dataset="nih", root="/data")
    assert (folder / "about.json").stat().st_mtime_ns == first
    note_use(folder, dataset="phantom", root=None)
    note = read_note(folder)
    assert note is not None
    assert (note.dataset, note.root) == ("phantom", None)
    assert time.time() - note.used_at < 60
    note_use(folder / "gone", dataset="phantom", root=None)  # removed at this moment: no error, and no new folder
    assert not (folder / "gone").exists()


def test_remove_bases_keeps_what_any_run_names(home: Path, store: RunStore) -> None:
    used, unused, deleted, young = (make_base(home, digit) for digit in "abcd")
    os.utime(young)
    use_base(home, used)
    store.delete(use_base(home, deleted).run_id)
    assert [base.is_unused for base in list_bases(home)] == [True, False, False, False]
    done = remove_bases(home)
    assert (done.num_removed, done.num_bytes) == (1, 1000)
    assert not unused.exists()
    assert used.is_file()
    assert deleted.is_file(), "the run in the trash can come back, and needs its base then"
    assert young.is_file(), "a run that is being made may have just stored it"


def test_remove_bases_touches_nothing_when_a_run_is_damaged(home: Path, store: RunStore) -> None:
    base = make_base(home, "a")
    make_run(home).config_path.write_text("{")
    assert list_bases(home)[0].run_ids is None
    assert remove_bases(home).num_removed == 0
    assert base.is_file()


def test_remove_bases_puts_back_what_was_asked_for_meanwhile(home: Path, store: RunStore, monkeypatch) -> None:
    """A run that was checked between our look and our rename would have lost its base."""
    base = make_base(home, "a")
    rename = Path.rename

    def rename_late(self: Path, target: Path) -> Path:
        if self == base:
            os.utime(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    assert remove_bases(home).num_removed == 0
    assert base.is_file()


def test_remove_pictures_keeps_those_in_sight(home: Path) -> None:
    folder = home / "cache" / "explanations" / "run"
    folder.mkdir(parents=True)
    for name in ("old.png", "new.png"):
        (folder / name).write_bytes(bytes(100))
    os.utime(folder / "old.png", (OLD, OLD))
    view = home / "cache" / "views" / "a.parquet"
    view.parent.mkdir()
    view.write_bytes(bytes(10))
    os.utime(view, (OLD, OLD))
    done = remove_pictures(home)
    assert (done.num_removed, done.num_bytes) == (1, 100)
    assert (folder / "new.png").is_file()
    assert view.is_file()


def test_remove_leftovers_keeps_what_is_being_made(home: Path) -> None:
    pixels, datasets = home / "cache" / "pixels", home / "datasets"
    dead, living = pixels / f".{KEY}.tmp", pixels / f".{OTHER_KEY}.tmp"
    partial = datasets / ".phantom-1.partial-x"
    whole = datasets / "phantom-1"
    for folder in (dead, living, partial, whole):
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(bytes(10))
    inventory = take_inventory(home)
    assert (inventory.leftover_bytes, inventory.unfinished_bytes, inventory.caches) == (30, 20, [])
    with filelock.FileLock(pixels / f"{OTHER_KEY}.lock"):
        done = remove_leftovers(home)
    assert (done.num_removed, done.num_bytes) == (2, 20)
    assert len(done.kept) == 1
    assert not dead.exists()
    assert not partial.exists()
    assert living.is_dir()
    assert whole.is_dir()
