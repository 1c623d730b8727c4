"""Run: the files of one run, by their meaning."""

import json
import os

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import STATUSES, RunState, RunStore


@pytest.fixture
def run(tmp_path):
    return RunStore(tmp_path).create(RunConfig(), provenance={"git": "abc"}, device="cpu")


def test_run_state_round_trips_and_ignores_unknown_keys():
    state = RunState(status="running", pid=5, pid_started=1.5, epoch=2, epochs=3, step=9, eta_s=4.0)
    assert RunState.from_dict({**state.to_dict(), "of_a_later_version": 1}) == state


@pytest.mark.parametrize("status", [None, "done", 3])
def test_run_state_refuses_unknown_status(status):
    with pytest.raises(ValueError, match="must be one of queued"):
        RunState.from_dict({"status": status})


def test_run_is_finished_in_five_of_eight_states(run):
    finished = [status for status in STATUSES if run.write_state(status=status).is_finished]
    assert finished == ["stopped", "finished", "failed", "interrupted", "cancelled"]


def test_run_write_state_changes_what_is_given_and_keeps_the_rest(run):
    run.write_state(status="running", epoch=2, pid=7, pid_started=1.0)
    before = run.state()
    run.write_state(epoch=3)
    after = run.state()
    assert (after.status, after.epoch, after.pid, after.device) == ("running", 3, 7, "cpu")
    assert after.updated_at >= before.updated_at > 1.6e9


@pytest.mark.parametrize(("changes", "error"), [({"colour": 1}, TypeError), ({"status": "done"}, ValueError)])
def test_run_write_state_refuses_what_does_not_exist(run, changes, error):
    before = run.state_path.read_bytes()
    with pytest.raises(error):
        run.write_state(**changes)
    assert run.state_path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b'{"status": "run', b"[]", b'{"status": "done"}', b"\xff\xfe\x00", b"null"])
def test_run_state_that_is_damaged_names_file_and_remedy(run, content):
    run.state_path.write_bytes(content)
    with pytest.raises(RunError, match=r"state\.json of run .* is damaged.*resume the run, or delete"):
        run.state()


def test_run_files_that_are_missing_are_named(run):
    run.state_path.unlink()
    run.config_path.unlink()
    with pytest.raises(RunError, match=r"has no state\.json"):
        run.state()
    with pytest.raises(RunError, match=r"has no config\.json"):
        run.config()


def test_run_config_that_is_damaged_names_the_setting(run):
    values = json.loads(run.config_path.read_text())
    values["train"]["epochs"] = -3
    run.config_path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"config\.json of run .* train\.epochs is -3"):
        run.config()


def test_run_config_round_trips(run):
    config = RunConfig.from_dict({"method": {"name": "lora", "knobs": {"rank": 4}}, "data": {"fraction": 0.1}})
    run.save_config(config)
    assert run.config() == config


def test_run_metrics_are_none_until_saved_and_nan_becomes_null(run):
    assert run.metrics() is None
    run.save_metrics({"test": {"auroc": float("nan"), "low": 0.5}})
    assert run.metrics() == {"test": {"auroc": None, "low": 0.5}}


def test_run_meta_has_defaults_also_where_the_file_is_missing(run):
    run.save_meta({"tags": ["a"]})
    assert run.meta() == {"tags": ["a"], "notes": "", "owner": ""}
    run.meta_path.unlink()
    assert run.meta() == {"tags": [], "notes": "", "owner": ""}


def test_run_paths_lie_in_the_folder(run, tmp_path):
    assert run.home == tmp_path
    assert run.checkpoint_dir == run.folder / "checkpoints" / "last"
    assert {run.adapter_dir.name, run.predictions_dir.name, run.log_path.name} == {"adapter", "predictions", "log.txt"}


def test_run_write_state_leaves_the_old_file_when_the_disk_refuses(run, monkeypatch):
    before = run.state_path.read_bytes()

    def refuse(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        run.write_state(epoch=9)
    assert run.state_path.read_bytes() == before
    assert [path.name for path in run.folder.glob(".*")] == []
