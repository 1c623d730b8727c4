"""Putting a run that has ended back into the queue."""

import subprocess
import sys

import psutil
import pytest
from stand_in import (
    count_starts,
    list_events,
    make_run,
    wait_for_status,
    wait_until,
)

from medpeft_core.errors import RunError
from medpeft_core.runs.liveness import process_identity


def test_store_requeue_puts_an_ended_run_at_the_end(store, supervise):
    again, other = make_run(store, seconds=60), make_run(store)
    supervisor = supervise()
    wait_for_status(again, "running")
    store.request_stop(again.run_id)
    wait_for_status(again, "stopped")
    supervisor.stop()
    (again.folder / "play.json").write_text('{"seconds": 0.1, "outcome": "finished", "boot_s": []}')
    store.index.request_stop(again.run_id)
    assert store.requeue(again.run_id).run_id == again.run_id
    state = again.state()
    assert (state.status, state.phase, state.pid, state.error) == ("queued", "waiting", None, None)
    assert [entry.run_id for entry in store.index.queued()][-1] == again.run_id
    assert not store.index.is_stop_requested(again.run_id)
    supervise()
    wait_for_status(again, "finished")
    assert other.status == "finished"
    assert list_events(again) == ["running", "stopping", "stopped", "running", "finished"]


def test_store_requeue_at_the_moment_of_the_end_is_not_lost(store, supervise):
    """The worker writes how it ended, frees its device, and takes a while to go; meanwhile the run is queued again."""
    run = make_run(store, seconds=60)
    supervise()
    for number in (1, 2, 3):
        wait_for_status(run, "running")
        store.request_stop(run.run_id)
        wait_for_status(run, "stopped")
        store.requeue(run.run_id)
        wait_until(lambda number=number: count_starts(run) == number + 1, "the next start")


def test_store_requeue_refuses_what_must_not_start_again(store, other_process):
    finished, queued, running = (make_run(store) for _ in range(3))
    pid, started = process_identity(other_process.pid)
    finished.write_state(status="finished")
    running.write_state(status="running", pid=pid, pid_started=started)
    for run, text in [(finished, "is finished; there"), (queued, "is queued already"), (running, "is running already")]:
        with pytest.raises(RunError, match=text):
            store.requeue(run.run_id)
    with pytest.raises(RunError, match="There is no run"):
        store.requeue("nothing")
    waiting = make_run(store, is_queued=False)
    waiting.write_state(pid=pid, pid_started=started)
    with pytest.raises(RunError, match="is queued already"):
        store.requeue(waiting.run_id)


@pytest.mark.parametrize("status", ["stopped", "interrupted", "failed", "cancelled"])
def test_store_requeue_takes_its_device_from_the_config_when_it_never_ran(store, status):
    run = make_run(store, is_queued=False)
    run.write_state(status=status, device=None, error="old")
    store.requeue(run.run_id)
    assert [(entry.run_id, entry.device) for entry in store.index.queued()] == [(run.run_id, run.config().train.device)]


def test_store_requeue_waits_for_a_worker_at_its_last_words(store, monkeypatch):
    run = make_run(store)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    identity = process_identity(child.pid)
    store.index.claim_device("cpu", run.run_id, *identity)
    store.index.hand_over_device("cpu", run.run_id, *identity)
    run.write_state(status="stopped")
    monkeypatch.setattr("medpeft_core.runs.store.LAST_WORDS_S", 0.1)
    with pytest.raises(RunError, match="has not ended yet"):
        store.requeue(run.run_id)
    monkeypatch.setattr("medpeft_core.runs.store.LAST_WORDS_S", 10)
    store.requeue(run.run_id)
    assert child.poll() is not None or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    child.wait()
    assert run.status == "queued"


def test_store_requeue_that_fails_leaves_the_run_as_it_was(store, monkeypatch):
    run = make_run(store, is_queued=False)
    run.write_state(status="failed", error="old")

    def full(*_):
        raise RunError("The lab's index cannot be used: database or disk is full.")

    monkeypatch.setattr(store.index, "enqueue", full)
    with pytest.raises(RunError, match="disk is full"):
        store.requeue(run.run_id)
    assert (run.status, run.state().error) == ("failed", "old")
