"""Setting runs up: all are checked before one is made, and all are made and queued, or none."""

import errno

import pytest
from toy_set import make_config, register_toy

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import BackboneError, ConfigError, DataError, RunError
from medpeft_core.paths import get_home
from medpeft_core.resolve import resolve_config
from medpeft_core.runs import creation
from medpeft_core.runs.store import RunStore
from medpeft_core.training import setup
from medpeft_core.training.setup import check_runs, set_up_runs


class StoppedError(Exception):
    """Raised by a listener that wants the work to end."""


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path):
    register_toy(monkeypatch, tmp_path / "toy")


@pytest.fixture
def store():
    return RunStore(get_home())


def configs(*methods):
    return [make_config(method={"name": name}) for name in methods]


def assert_nothing_made(store):
    assert store.list_runs() == []
    assert store.index.queued() == []
    assert not store.runs_dir.exists() or list(store.runs_dir.iterdir()) == []


def test_set_up_runs_makes_and_queues_them_in_order(store):
    told = []
    runs = set_up_runs(store, configs("lora", "linear", "full"), progress=lambda *call: told.append(call))
    assert [run.config().method.name for run in runs] == ["lora", "linear", "full"]
    assert [(entry.run_id, entry.device) for entry in store.index.queued()] == [(run.run_id, "cpu") for run in runs]
    for run in runs:
        state = run.state()
        assert (state.status, state.device, state.pid) == ("queued", "cpu", None)
        assert run.config().backbone.weights_sha256
        assert run.provenance()["num_train_images"] == 40
    assert ("decoding images", 72, 72) in told
    assert [call for call in told if call[0] == "checking"] == [("checking", done, 3) for done in range(4)]
    assert told.index(("checking", 3, 3)) < told.index(("creating runs", 0, 3))


def test_set_up_runs_prepares_equal_data_once(store, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "medpeft_core.datasets.prepare.prepare_dataset",
        lambda data, *, progress: calls.append(data) or prepare_dataset(data),
    )
    fractions = [make_config(data={"fraction": share}) for share in (0.25, 0.5, 1.0)]
    runs = set_up_runs(store, fractions)
    assert len(calls) == 1
    assert [run.provenance()["num_train_images"] for run in runs] == [10, 20, 40]


def test_set_up_runs_makes_nothing_when_one_check_fails(store):
    wanted = [*configs("full", "linear"), make_config(method={"knobs": {"rank": 0}})]
    with pytest.raises(ConfigError, match=r"method\.rank is 0"):
        set_up_runs(store, wanted)
    assert_nothing_made(store)


def test_set_up_runs_makes_nothing_when_the_model_of_the_last_cannot_be_built(store):
    told = []
    wanted = [*configs("linear"), make_config(backbone={"image_size": 33})]
    with pytest.raises(BackboneError, match="33"):
        set_up_runs(store, wanted, progress=lambda what, done, total: told.append((what, done)))
    assert told[-1] == ("checking", 1)
    assert_nothing_made(store)


def test_set_up_runs_that_may_not_decode_asks_to_prepare_first(store):
    with pytest.raises(DataError, match=r"have not been prepared at 32 pixels.*Data page.*medpeft_core prepare toy"):
        set_up_runs(store, configs("linear"), may_decode=False)
    assert_nothing_made(store)
    prepare_dataset(make_config().data)
    assert len(set_up_runs(store, configs("linear"), may_decode=False)) == 1


@pytest.mark.parametrize("stop_at", [("checking", 1), ("creating runs", 1), ("creating runs", 2)], ids=str)
def test_set_up_runs_stopped_by_progress_leaves_no_run(store, stop_at):
    def listen(what, done, total):
        if (what, done) == stop_at:
            raise StoppedError

    with pytest.raises(StoppedError):
        set_up_runs(store, configs("linear", "full"), progress=listen)
    assert_nothing_made(store)
    assert len(set_up_runs(store, configs("linear", "full"))) == 2


def test_set_up_runs_on_a_full_disk_removes_what_it_made(store, monkeypatch):
    earlier = set_up_runs(store, configs("linear"))
    real, num_written = creation.write_json, 0

    def write_json(path, value):
        nonlocal num_written
        num_written += 1
        if num_written > 6:  # in the middle of the second run's folder
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, value)

    monkeypatch.setattr(creation, "write_json", write_json)
    with pytest.raises(RunError, match="The disk is full"):
        set_up_runs(store, configs("linear", "full", "lora"))
    assert num_written == 7
    assert [run.run_id for run in store.list_runs()] == [run.run_id for run in earlier]
    assert [entry.run_id for entry in store.index.queued()] == [run.run_id for run in earlier]
    assert sorted(path.name for path in store.runs_dir.iterdir()) == [run.run_id for run in earlier]


def test_set_up_runs_that_cannot_be_queued_are_removed(store, monkeypatch):
    real, queued = store.index.enqueue, []

    def enqueue(run_id, device):
        if queued:
            raise RunError("lab.sqlite cannot be written")
        queued.append(run_id)
        real(run_id, device)

    monkeypatch.setattr(store.index, "enqueue", enqueue)
    with pytest.raises(RunError, match="cannot be written"):
        set_up_runs(store, configs("linear", "full"))
    assert queued
    assert_nothing_made(store)


def test_check_runs_gives_a_complete_config_for_each():
    wanted = [resolve_config(config) for config in configs("linear", "full")]
    prepared = prepare_dataset(wanted[0].data)
    plans = check_runs(wanted, [prepared, prepared])
    assert [plan.config.method.name for plan in plans] == ["linear", "full"]
    assert all(plan.config.train.device == "cpu" for plan in plans)
    assert plans[0].provenance["num_trainable_params"] < plans[1].provenance["num_trainable_params"]
    assert not (get_home() / "runs").exists()
    with pytest.raises(ValueError, match="shorter"):
        check_runs(wanted, [prepared])


def test_set_up_runs_of_nothing_makes_nothing(store):
    assert setup.set_up_runs(store, []) == []
    assert_nothing_made(store)
