"""WorkerControl: what training sees."""

import time

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.runs import RunStore
from medpeft_core.worker.control import WorkerControl


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def run(store):
    return store.create(RunConfig(), provenance={}, status="running", device="cpu")


def wait_until(is_true, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_control_shows_a_new_phase_at_once_and_steps_seldom(store, run):
    control = WorkerControl(run, store.index)
    control.set_progress(phase="training", epoch=1, epochs=3)
    assert (run.state().phase, run.state().epochs) == ("training", 3)
    first = run.state().updated_at
    for step in range(200):
        control.set_progress(phase="training", step=step, num_steps=200)
    assert run.state().updated_at == first
    control.set_progress(phase="testing")
    assert (run.state().phase, run.state().step) == ("testing", 199)


def test_control_counts_within_a_phase_seldom(store, run):
    """Each count was written and synced at once, which on a fast device took longer than the work."""
    control = WorkerControl(run, store.index)
    control.set_progress(phase="evaluating val, 0 of 640 images")
    first = run.state().updated_at
    for done in range(0, 640, 64):
        control.set_progress(phase=f"evaluating val, {done} of 640 images")
    assert run.state().updated_at == first
    control.set_progress(phase="evaluating test, 0 of 640 images")
    assert run.state().phase == "evaluating test, 0 of 640 images"


def test_control_writes_steps_again_after_half_a_second(store, run):
    control = WorkerControl(run, store.index)
    control.set_progress(phase="training", step=1)
    time.sleep(0.55)
    control.set_progress(step=2, eta_s=7.5)
    assert (run.state().step, run.state().eta_s) == (2, 7.5)
    control.set_progress(step=3)
    assert run.state().step == 2
    assert control.take_pending() == {"step": 3}


def test_control_beats_and_acknowledges_a_stop_within_a_second(store, run):
    with WorkerControl(run, store.index) as control:
        wait_until(lambda: store.index.last_beat(run.run_id) is not None)
        assert not control.should_stop()
        store.index.request_stop(run.run_id)
        asked_at = time.monotonic()
        wait_until(control.should_stop)
        wait_until(lambda: store.index.is_stop_acknowledged(run.run_id))
        assert time.monotonic() - asked_at < 1.0
        assert run.events()[-1]["status"] == "stopping"
        time.sleep(1.1)
    assert [event["status"] for event in run.events()] == ["stopping"], "said once"


def test_control_goes_on_beating_when_the_index_fails(store, run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with WorkerControl(run, store.index) as control:
        monkeypatch.setattr(store.index, "is_stop_requested", full)
        time.sleep(0.6)
        monkeypatch.undo()
        store.index.request_stop(run.run_id)
        wait_until(control.should_stop)
