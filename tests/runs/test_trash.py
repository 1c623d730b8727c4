"""Deleted runs: brought back exactly, removed for good when told to or after a week, never half."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import RunStore
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.trash import DAY_S, KEEP_DAYS, Trash

CONFIG = RunConfig.from_dict(
    {"method": {"name": "lora", "knobs": {"rank": 8}}, "backbone": {"name": "vit_tiny_patch16_224"}}
)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "home")


def create(store, status="finished"):
    run = store.create(CONFIG, status=status, provenance={"packages": {}}, device="cpu")
    run.save_meta({**run.meta(), "tags": ["paper"], "notes": "keep"})
    run.predictions_dir.mkdir()
    (run.predictions_dir / "test.parquet").write_bytes(bytes(range(256)) * 40)
    return run


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_restore_brings_a_run_back_byte_for_byte(store):
    run = create(store)
    before, listed = read_files(run.folder), list_summaries(store)
    deleted = store.delete(run.run_id)
    assert not run.folder.exists()
    assert list_summaries(store) == []
    assert [item.run_id for item in store.list_deleted()] == [run.run_id]
    assert deleted.measure() == sum(map(len, before.values()))
    assert store.restore(run.run_id).folder == run.folder
    assert read_files(run.folder) == before
    assert list_summaries(store) == listed
    assert store.list_deleted() == []


def test_restore_of_a_run_that_was_queued_starts_nothing(store):
    """A queued run that was deleted and brought back began to train without a word."""
    run = create(store, status="queued")
    store.index.enqueue(run.run_id, "cpu")
    store.delete(run.run_id)
    assert store.index.queued() == []
    assert store.restore(run.run_id).status == "cancelled"
    assert store.index.queued() == []
    store.requeue(run.run_id)
    assert [entry.run_id for entry in store.index.queued()] == [run.run_id]


def test_restore_of_a_damaged_run_gives_it_back_damaged(store):
    run = create(store)
    run.state_path.write_text("{")
    store.delete(run.run_id)
    store.restore(run.run_id)
    assert run.state_path.read_text() == "{"


def test_restore_refuses_what_is_not_in_the_trash_or_would_overwrite(store):
    run = create(store)
    with pytest.raises(RunError, match="not in the trash"):
        store.restore(run.run_id)
    with pytest.raises(RunError, match="not the name of a run"):
        store.restore("../../etc")
    store.delete(run.run_id)
    shutil.copytree(store.list_deleted()[0].folder, run.folder)
    with pytest.raises(RunError, match="exists. Move that folder away"):
        store.restore(run.run_id)
    assert len(store.list_deleted()) == 1


def test_purge_removes_all_or_the_named_runs_for_good(store):
    first, second, third = (create(store) for _ in range(3))
    for run in (first, second, third):
        store.delete(run.run_id)
    assert store.purge_deleted([second.run_id]) == [second.run_id]
    assert {item.run_id for item in store.list_deleted()} == {first.run_id, third.run_id}
    assert sorted(store.purge_deleted()) == sorted([first.run_id, third.run_id])
    assert list(store.trash.folder.iterdir()) == []
    assert store.purge_deleted() == []


def test_trash_keeps_a_run_for_a_week(store):
    store.delete(create(store).run_id)
    (item,) = store.list_deleted()
    assert item.kept_until - item.deleted_at == KEEP_DAYS * DAY_S
    assert store.trash.purge_expired(now=item.kept_until - 1) == []
    assert store.trash.purge_expired(now=item.kept_until + 1) == [item.run_id]
    assert store.list_deleted() == []


def test_delete_removes_what_was_deleted_long_ago(store):
    old, new = create(store), create(store)
    store.delete(old.run_id)
    (item,) = store.list_deleted()
    item.folder.rename(item.folder.with_name(f"{old.run_id}.1000"))
    store.delete(new.run_id)
    assert [item.run_id for item in store.list_deleted()] == [new.run_id]


def test_trash_lists_the_last_deleted_first_and_ignores_other_folders(store):
    runs = [create(store) for _ in range(3)]
    for number, run in enumerate(runs):
        item = store.delete(run.run_id)
        item.folder.rename(item.folder.with_name(f"{run.run_id}.{2_000_000_000 + number}"))
    (store.trash.folder / "holiday pictures").mkdir()
    (store.trash.folder / ".gone-by-a-crash").mkdir()
    assert [item.run_id for item in store.list_deleted()] == [run.run_id for run in reversed(runs)]
    store.purge_deleted([runs[0].run_id])
    assert not (store.trash.folder / ".gone-by-a-crash").exists()
    assert (store.trash.folder / "holiday pictures").exists()


def test_trash_of_a_new_home_is_empty(tmp_path):
    assert Trash(tmp_path / "nowhere").list_runs() == []
    assert not (tmp_path / "nowhere").exists()


def test_a_crash_while_removing_leaves_no_half_run_to_bring_back(store, monkeypatch):
    run = create(store)
    store.delete(run.run_id)

    def die(folder, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("medpeft_core.runs.trash.shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            store.purge_deleted()
    assert store.list_deleted() == []
    store.purge_deleted()
    assert list(store.trash.folder.iterdir()) == []


def test_delete_copies_a_run_that_lies_on_another_disk(store, monkeypatch):
    run = create(store)
    before, rename = read_files(run.folder), Path.rename

    def rename_on_one_disk(self, target):
        if self == run.folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_on_one_disk)
    store.delete(run.run_id)
    assert not run.folder.exists()
    assert read_files(store.list_deleted()[0].folder) == before


def test_delete_says_what_keeps_the_files(store, monkeypatch):
    run = create(store)

    def refuse(*_):
        raise PermissionError(13, "being used by another process")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RunError, match="cannot be deleted: .*Close the programs"):
        store.delete(run.run_id)
    assert run.folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_measure_counts_links_and_not_what_they_point_to(store, tmp_path):
    run = create(store)
    before = sum(map(len, read_files(run.folder).values()))
    big = tmp_path / "big"
    big.write_bytes(bytes(100_000))
    (run.folder / "link").symlink_to(big)
    assert store.delete(run.run_id).measure() < before + 1000
    store.purge_deleted()
    assert big.exists()
