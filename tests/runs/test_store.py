"""RunStore: making, finding, settling, stopping and deleting runs."""

import os
import subprocess
import sys
import time

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import RunStore, creation
from medpeft_core.runs import store as store_module
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.liveness import process_identity

ME = process_identity(os.getpid())
CONFIG = RunConfig.from_dict(
    {"method": {"name": "lora", "knobs": {"rank": 8}}, "backbone": {"name": "vit_tiny_patch16_224"}}
)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


def create(store, **state):
    run = store.create(CONFIG, provenance={"packages": {"torch": "2"}}, device="cpu")
    if state:
        run.write_state(**state)
    return run


def test_store_open_default_uses_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path))
    assert RunStore.open_default().runs_dir == tmp_path / "runs"


def test_store_create_makes_the_whole_folder(store):
    run = create(store)
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "config.json",
        "meta.json",
        "provenance.json",
        "state.json",
    ]
    assert (run.status, run.state().device, run.config(), run.state().epochs) == (
        "queued",
        "cpu",
        CONFIG,
        CONFIG.train.epochs,
    )
    assert "-lora-r8-vit_tiny-" in run.run_id
    assert run.provenance() == {"packages": {"torch": "2"}}


def test_store_create_finds_another_name_when_one_is_taken(store, monkeypatch):
    names = iter(["20261121-2154-lora-r8-vit_tiny-0001"] * 3 + ["20261121-2154-lora-r8-vit_tiny-0002"])
    monkeypatch.setattr(creation, "make_run_id", lambda *_: next(names))
    first, second = create(store), create(store)
    assert (first.run_id[-4:], second.run_id[-4:]) == ("0001", "0002")


def test_store_create_on_a_full_disk_leaves_nothing(store, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(creation, "write_json", refuse)
    with pytest.raises(RunError, match="The disk is full"):
        create(store)
    assert list(store.runs_dir.iterdir()) == []


def test_store_lists_newest_first_and_ignores_foreign_folders(store):
    names = []
    for _ in range(3):
        names.append(create(store).run_id)
        time.sleep(0.02)
    (store.runs_dir / ".new-123").mkdir()
    (store.runs_dir / "my notes").mkdir()
    (store.runs_dir / "20261121-2154-lora-r8-vit_tiny-9999").mkdir()
    assert [run.run_id for run in store.list_runs()] == names[::-1]


def test_store_lists_nothing_before_the_first_run(store):
    assert store.list_runs() == []
    with pytest.raises(RunError, match="holds no runs yet"):
        store.load("x")


def test_store_loads_by_name_prefix_or_unique_part(store):
    run = create(store)
    other = store.create(RunConfig(), provenance={}, device="cpu")
    assert store.load(run.run_id).folder == run.folder
    assert store.load("vit_tiny").run_id == run.run_id
    assert store.load(other.run_id[-9:]).run_id == other.run_id


def test_store_load_lists_several_and_suggests_near_ones(store):
    first, second = create(store), create(store)
    with pytest.raises(RunError, match="2 runs fit 'lora'") as several:
        store.load("lora")
    assert first.run_id in str(several.value)
    assert second.run_id in str(several.value)
    wrong = first.run_id[:-1] + ("0" if first.run_id[-1] != "0" else "1")
    with pytest.raises(RunError, match="Did you mean") as unknown:
        store.load(wrong)
    assert first.run_id in str(unknown.value)


@pytest.mark.parametrize("text", ["", "../..", "/etc"])
def test_store_load_never_leaves_its_folder(store, text):
    create(store)
    with pytest.raises(RunError, match="There is no run"):
        store.load(text)


def test_store_settle_marks_the_run_of_a_dead_process(store):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(child.pid)
    run = create(store, status="running", pid=identity[0], pid_started=identity[1])
    store.index.claim_device("cpu", run.run_id, *identity)
    store.index.request_stop(run.run_id)
    assert store.settle(run).status == "running"
    child.communicate()
    assert store.settle(run).status == "interrupted"
    assert "ended without a word" in run.state().error
    assert "Resume it" in run.state().error
    assert run.events()[-1]["status"] == "interrupted"
    assert store.index.locks_of(run.run_id) == []
    assert not store.index.is_stop_requested(run.run_id)
    store.settle(run)
    assert len(run.events()) == 1, "once is enough"


def test_store_settle_takes_a_reused_pid_for_a_dead_worker(store):
    run = create(store, status="running", pid=ME[0], pid_started=ME[1] - 100)
    assert store.settle(run).status == "interrupted"


@pytest.mark.parametrize("status", ["queued", "finished", "failed", "stopped", "cancelled", "paused"])
def test_store_settle_leaves_other_runs_alone(store, status):
    run = create(store, status=status)
    assert store.settle(run).status == status


def test_store_settle_marks_a_run_whose_waiting_process_died(store):
    run = create(store, pid=ME[0], pid_started=ME[1] - 100)
    assert store.settle(run).status == "interrupted"
    assert "waited for a free device" in run.state().error


def test_store_settle_believes_a_last_word_written_at_the_last_moment(store, monkeypatch):
    """A run that finished was shown as interrupted, because its state was read just before its last word."""
    run = create(store, status="running", pid=ME[0], pid_started=ME[1] - 100)

    def die_with_a_last_word(pid, started):
        run.write_state(status="finished")
        return False

    monkeypatch.setattr(store_module, "is_alive", die_with_a_last_word)
    assert store.settle(run).status == "finished"


def test_store_request_stop_flags_running_and_cancels_queued(store):
    running = create(store, status="running", pid=ME[0], pid_started=ME[1])
    queued = create(store)
    store.index.enqueue(queued.run_id, "cpu")
    store.request_stop(running.run_id)
    store.request_stop(queued.run_id)
    assert store.index.is_stop_requested(running.run_id)
    assert running.status == "running"
    assert queued.status == "cancelled"
    assert store.index.queued() == []


@pytest.mark.parametrize("status", ["finished", "failed", "stopped", "cancelled", "interrupted"])
def test_store_request_stop_refuses_a_run_that_is_over(store, status):
    run = create(store, status=status)
    with pytest.raises(RunError, match=f"is {status} already"):
        store.request_stop(run.run_id)


def test_store_delete_removes_folder_and_rows(store):
    run = create(store)
    store.index.enqueue(run.run_id, "cpu")
    store.index.save_listing(run.run_id, "1", {})
    store.delete(run.run_id)
    assert list(store.runs_dir.iterdir()) == []
    assert store.index.queued() == []
    assert store.index.listing() == {}


def test_store_delete_refuses_while_a_process_works_on_it(store):
    running = create(store, status="running", pid=ME[0], pid_started=ME[1])
    starting = create(store)
    assert store.index.claim_device("cuda:0", starting.run_id, *ME)
    for run in (running, starting):
        with pytest.raises(RunError, match="Stop it first"):
            store.delete(run.run_id)
        assert run.folder.exists()


def test_store_delete_takes_damaged_runs_and_whole_names_only(store):
    run = create(store)
    run.state_path.write_text("{")
    with pytest.raises(RunError, match="not the name of a run"):
        store.delete("lora")
    store.delete(run.run_id)
    assert not run.folder.exists()


def test_list_summaries_reads_again_only_what_changed(store, monkeypatch):
    run, damaged = create(store), create(store)
    damaged.config_path.write_text("{")
    run.save_metrics({"test_auroc": 0.75, "per_class": {"a": {}}})
    by_id = {line["run_id"]: line for line in list_summaries(store)}
    assert by_id[run.run_id]["metrics"] == {"test_auroc": 0.75}
    assert by_id[run.run_id]["method"] == "lora"
    assert by_id[damaged.run_id]["status"] is None
    assert "config.json" in by_id[damaged.run_id]["error"]
    reads = []
    monkeypatch.setattr(
        "medpeft_core.runs.listing.summarise", lambda run: reads.append(run.run_id) or {"run_id": run.run_id}
    )
    list_summaries(store)
    assert reads == []
    run.write_state(status="finished")
    list_summaries(store)
    assert reads == [run.run_id]


def test_store_lists_and_deletes_when_the_index_cannot_be_used(store, monkeypatch):
    """On a full disk nothing could be deleted, because the index could not be written."""
    run = create(store, status="finished")

    def full(*_):
        raise RunError("The lab's index cannot be used: database or disk is full.")

    monkeypatch.setattr(store.index._database, "read", full)
    monkeypatch.setattr(store.index._database, "change", full)
    assert [line["run_id"] for line in list_summaries(store)] == [run.run_id]
    store.delete(run.run_id)
    assert list(store.runs_dir.iterdir()) == []
