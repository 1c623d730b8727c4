"""run_guarded: the last word about a run, in every ending. In this process, with small training functions."""

import json
import os
import subprocess
import sys

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import TrainingError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs import RunStore
from medpeft_core.runs import disk as disk_module
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker.main import run_guarded

ME = process_identity(os.getpid())


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def run(store):
    return store.create(RunConfig(), provenance={}, device="cpu")


def statuses(run):
    return [event["status"] for event in run.events() if event["type"] == "status"]


def assert_all_is_given_back(store, run):
    assert store.index.locks_of(run.run_id) == []
    assert store.index.last_beat(run.run_id) is None
    assert not store.index.is_stop_requested(run.run_id)
    assert not (run.folder / ".reserve").exists()


@pytest.mark.parametrize(("outcome", "code"), [("finished", 0), ("stopped", 130)])
def test_run_guarded_writes_how_training_ended(store, run, outcome, code):
    seen = {}

    def train(run, control):
        state = run.state()
        seen.update(status=state.status, pid=state.pid, device=store.index.device_holder("cpu").pid)
        seen["reserve"] = (run.folder / ".reserve").stat().st_size
        control.set_progress(phase="training", epoch=1, epochs=2, step=5)
        control.set_progress(epoch=2, step=10, eta_s=3.0)
        return outcome

    assert run_guarded(run, train) == code
    assert seen == {"status": "running", "pid": os.getpid(), "device": os.getpid(), "reserve": 256 * 1024}
    state = run.state()
    assert (state.status, state.epoch, state.step, state.eta_s, state.error) == (outcome, 2, 10, None, None)
    assert statuses(run) == ["running", outcome]
    assert_all_is_given_back(store, run)


@pytest.mark.parametrize(
    ("error", "text", "has_traceback"),
    [
        (TrainingError("The loss is NaN. Lower optim.lr."), "The loss is NaN. Lower optim.lr.", False),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug", True),
        (MemoryError(), "train.batch_size 16", True),
        (OSError(28, "No space left on device"), "The disk is full:", True),
    ],
)
def test_run_guarded_marks_a_failed_run(store, run, error, text, has_traceback):
    def train(run, control):
        raise error

    assert run_guarded(run, train) == 1
    assert run.status == "failed"
    assert text in run.state().error
    events = run.events()
    assert statuses(run) == ["running", "failed"]
    assert [event["text"] for event in events if event["type"] == "error"] == [run.state().error]
    traces = [event["traceback"] for event in events if event["type"] == "error"]
    assert ["Traceback" in (trace or "") for trace in traces] == [has_traceback]
    assert ("Traceback" in run.log_path.read_text()) == has_traceback
    assert_all_is_given_back(store, run)


def test_run_guarded_works_on_a_pretraining_as_on_any_run(store):
    run = store.create(PretrainConfig(), provenance={}, device=None)  # without one in its state, its config's counts
    assert run_guarded(run, lambda run, control: "stopped") == 130
    assert (run.status, statuses(run)) == ("stopped", ["running", "stopped"])

    def train(run, control):
        raise MemoryError

    assert run_guarded(run, train) == 1
    assert "with --batch-size 64" in run.state().error
    assert_all_is_given_back(store, run)


def test_run_guarded_takes_an_unknown_outcome_for_a_bug(store, run):
    assert run_guarded(run, lambda run, control: "done") == 1
    assert "training ended with 'done'" in run.state().error


def test_run_guarded_gives_the_reserve_up_to_write_the_last_word(store, run, monkeypatch):
    """The disk is full from the middle of training on: nothing can be written while the reserve is there."""
    reserve = run.folder / ".reserve"
    real_fsync = os.fsync
    is_full = False

    def fsync(handle):
        if is_full and reserve.exists():
            raise OSError(28, "No space left on device")
        real_fsync(handle)

    def train(run, control):
        nonlocal is_full
        is_full = True
        return "finished"

    monkeypatch.setattr(os, "fsync", fsync)
    assert run_guarded(run, train) == 0
    assert run.status == "finished"
    assert json.loads(run.state_path.read_text())["status"] == "finished"


def test_run_guarded_on_a_disk_without_room_for_the_reserve_fails_at_once(store, run, monkeypatch):
    def refuse(self):
        self.path.write_bytes(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_module.DiskReserve, "fill", refuse)
    assert run_guarded(run, lambda run, control: pytest.fail("must not train")) == 1
    assert "The disk is full" in run.state().error
    assert_all_is_given_back(store, run)


@pytest.mark.parametrize("status", ["cancelled", "finished"])
def test_run_guarded_refuses_a_run_that_is_over(store, run, status, capsys):
    run.write_state(status=status)
    assert run_guarded(run, lambda run, control: pytest.fail("must not train")) == 1
    assert f"is {status}" in capsys.readouterr().err
    assert run.status == status


@pytest.mark.parametrize("status", ["stopped", "failed", "interrupted", "queued"])
def test_run_guarded_goes_on_with_a_run_that_can_be_resumed(store, run, status):
    run.write_state(status=status, error="old")
    assert run_guarded(run, lambda run, control: "finished") == 0
    assert run.state().error is None


def test_run_guarded_refuses_what_another_process_works_on(store, run, capsys):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(child.pid)
    try:
        run.write_state(status="running", pid=identity[0], pid_started=identity[1])
        assert run_guarded(run, lambda run, control: "finished") == 1
        assert "already" in capsys.readouterr().err
        other = store.create(RunConfig(), provenance={}, device="cpu")
        store.index.claim_device("cpu", run.run_id, *identity)
        assert run_guarded(other, lambda run, control: "finished") == 1
        assert f"cpu is held by run {run.run_id}" in capsys.readouterr().err
        assert other.status == "queued"
    finally:
        child.communicate()
    assert run_guarded(other, lambda run, control: "finished") == 0, "the dead one's device is free"


def test_run_guarded_takes_the_device_from_whoever_started_it(store, run):
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    store.index.claim_device("cpu", run.run_id, *process_identity(parent.pid))
    holders = []
    code = run_guarded(run, lambda run, control: holders.append(store.index.device_holder("cpu").pid) or "finished")
    parent.communicate()
    assert (code, holders) == (0, [os.getpid()])


def test_worker_command_checks_its_argument(tmp_path):
    for arguments, text in [([], "Give one argument"), ([str(tmp_path)], "is not a run's folder")]:
        done = subprocess.run([sys.executable, "-m", "medpeft_core.worker", *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_worker_modules_are_light():
    code = (
        "import sys, medpeft_core.runs.listing, medpeft_core.worker.launch, medpeft_core.worker.main\n"
        "heavy = {'torch', 'timm', 'peft', 'sklearn', 'torchvision', 'transformers'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
