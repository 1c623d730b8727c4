"""Pre-trainings in the store, the index and the listing: beside the runs that fine-tune, never among them."""

import os
import subprocess
import sys

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.methods import METHODS
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs import Run, RunStore
from medpeft_core.runs.kinds import PRETRAIN_METHOD, folder_of, is_pretraining_id
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries

CONFIG = PretrainConfig.from_dict(
    {"encoder": {"name": "vit_tiny_patch16_224", "image_size": 96}, "train": {"epochs": 9}}
)
PROVENANCE = {"is_synthetic": True, "num_train_images": 100}


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "home")


def pretrain(store, **state):
    run = store.create(CONFIG, provenance=PROVENANCE, device="cpu")
    if state:
        run.write_state(**state)
    return run


def fine_tune(store):
    return store.create(RunConfig(), provenance={}, device="cpu")


def end_epochs(run, *losses, first=1):
    for epoch, loss in enumerate(losses, first):
        run.emit({"type": "step", "epoch": epoch, "step": 10 * epoch, "loss": loss})
        run.emit({"type": "epoch", "epoch": epoch, "step": 10 * epoch, "train_loss": loss})


def test_pretraining_id_is_known_by_its_method():
    assert is_pretraining_id("20261125-2210-mae-demo_vit-4f2a")
    for text in ("20261125-2210-lora-r8-mae-4f2a", "20261125-2210-full-mae-4f2a", "x-y-mae-z", "../mae", ""):
        assert not is_pretraining_id(text)


def test_no_fine_tuning_method_has_the_name_that_marks_pretrainings():
    assert PRETRAIN_METHOD not in METHODS.names()


def test_create_makes_a_pretraining_in_its_own_folder(store):
    run = pretrain(store)
    assert (run.folder.parent, run.home) == (store.home / "pretraining", store.home)
    assert run.folder == store.folder_of(run.run_id) == folder_of(store.home, run.run_id)
    assert "-mae-vit_tiny-" in run.run_id
    assert run.is_pretraining
    assert (run.pretrain_config(), run.data_section(), run.state().epochs) == (CONFIG, CONFIG.data, 9)
    assert run.train_section() == CONFIG.train
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "config.json", "meta.json", "provenance.json", "state.json",
    ]  # fmt: skip
    assert not store.runs_dir.exists()


def test_each_kind_of_config_is_refused_with_a_sentence_where_the_other_is_meant(store):
    pretraining, trained = pretrain(store), fine_tune(store)
    with pytest.raises(
        RunError, match=rf"{pretraining.run_id} is a pre-training: .*Choose a fine-tuned run"
    ) as refused:
        pretraining.config()
    assert f"show {pretraining.run_id}" in str(refused.value)
    with pytest.raises(RunError, match=rf"{trained.run_id} is no pre-training.*runs --pretraining"):
        trained.pretrain_config()
    assert trained.train_section() == RunConfig().train


def test_store_lists_each_kind_for_itself_and_finds_both_by_a_part(store):
    pretraining, trained = pretrain(store), fine_tune(store)
    assert [run.run_id for run in store.list_runs()] == [trained.run_id]
    assert [run.run_id for run in store.list_pretrainings()] == [pretraining.run_id]
    assert [run.run_id for run in store.list_all()] == [trained.run_id, pretraining.run_id]
    assert store.load("-mae-").folder == pretraining.folder
    assert store.load(pretraining.run_id).folder == pretraining.folder
    assert store.load(trained.run_id).folder == trained.folder
    with pytest.raises(RunError, match="2 runs fit"):
        store.load(pretraining.run_id[:3])


def test_a_pretraining_is_stopped_queued_again_deleted_and_restored_as_any_run(store):
    run = pretrain(store)
    store.index.enqueue(run.run_id, "cpu")
    store.request_stop(run.run_id)
    assert (run.status, store.index.queued()) == ("cancelled", [])
    store.requeue(run.run_id)
    assert [entry.run_id for entry in store.index.queued()] == [run.run_id]
    assert store.delete(run.run_id).folder.parent == store.home / "trash"
    assert (store.list_pretrainings(), store.index.queued()) == ([], [])
    back = store.restore(run.run_id)
    assert (back.folder, back.status, back.pretrain_config()) == (run.folder, "cancelled", CONFIG)


def test_settle_tells_of_a_pretraining_whose_process_died(store):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid, started = process_identity(child.pid)
    run = pretrain(store, status="running", pid=pid, pid_started=started)
    child.communicate()
    assert store.settle(run).status == "interrupted"


def test_a_new_index_takes_queue_and_locks_from_both_folders(store):
    pid, started = process_identity(os.getpid())
    working = pretrain(store, status="running", pid=pid, pid_started=started)
    waiting, trained = pretrain(store), fine_tune(store)
    store.index.path.unlink(missing_ok=True)
    assert store.index.device_holder("cpu").run_id == working.run_id
    assert {entry.run_id for entry in store.index.queued()} == {waiting.run_id, trained.run_id}


def test_history_undoes_what_a_resumed_pretraining_did_again(store):
    run = pretrain(store)
    end_epochs(run, 0.9, 0.8)
    for kind in ("rebuilt", "encoder"):
        run.emit({"type": kind, "epoch": 2, "step": 20, "told": "before"})
    run.emit({"type": "status", "status": "resumed", "step": 10})
    assert [event["type"] for event in run.history()] == ["step", "epoch", "status"]
    end_epochs(run, 0.7, first=2)
    for _ in range(2):  # killed after telling, and before the checkpoint
        run.emit({"type": "encoder", "epoch": 2, "step": 20, "told": "again"})
    told = [event["told"] for event in run.history(types=("encoder",)) if event["type"] == "encoder"]
    assert told == ["again"]


def test_list_pretrain_summaries_holds_what_pages_show(store):
    trained, run = fine_tune(store), pretrain(store, status="running", epoch=3, step=25, num_steps=90, eta_s=5.0)
    end_epochs(run, 0.9, 0.8)
    run.emit({"type": "encoder", "epoch": 2, "step": 20, "file": "epoch-0002.safetensors", "train_loss": 0.8})
    [line] = list_pretrain_summaries(store)
    expected = {
        "run_id": run.run_id, "status": "running", "epoch": 3, "epochs": 9, "step": 25, "num_steps": 90, "eta_s": 5.0,
        "device": "cpu", "error": None, "dataset": "phantom", "data_is_synthetic": True, "num_train_images": 100,
        "backbone": "vit_tiny_patch16_224", "weights": "random", "image_size": 96, "seed": 0, "tags": [], "notes": "",
        "train_loss": 0.8, "curve": [0.9, 0.8], "num_encoders": 1,
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    assert [item["run_id"] for item in list_summaries(store)] == [trained.run_id], "each listing has its own kind"
    end_epochs(run, 0.7, first=3)
    run.write_state(status="finished", epoch=3)
    for _ in range(2):  # the second time from what the index keeps
        [line] = list_pretrain_summaries(store)
        assert (line["status"], line["curve"], line["train_loss"]) == ("finished", [0.9, 0.8, 0.7], 0.7)


def test_list_pretrain_summaries_thins_a_long_curve_and_tells_of_damage(store):
    long, damaged = pretrain(store), pretrain(store)
    end_epochs(long, *[1 - epoch / 1000 for epoch in range(100)])
    damaged.config_path.write_text("{")
    found = {line["run_id"]: line for line in list_pretrain_summaries(store)}
    assert (len(found[long.run_id]["curve"]), found[long.run_id]["curve"][-1]) == (30, 1 - 99 / 1000)
    line = found[damaged.run_id]
    assert (line["status"], line["curve"], line["num_encoders"]) == (None, [], 0)
    assert "config.json" in line["error"]


def test_list_pretrain_summaries_of_a_home_without_any(store):
    assert list_pretrain_summaries(store) == []
    assert Run(store.folder_of("20261125-2210-mae-demo_vit-4f2a")).is_pretraining
