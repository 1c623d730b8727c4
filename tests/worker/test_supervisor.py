"""Supervisor: who leads, in which order runs start, and what happens to those that cannot or do not stop."""

import itertools
import shutil
import time

import pytest
from stand_in import (
    POLL_S,
    count_starts,
    list_events,
    make_run,
    start_stand_in,
    texts,
    wait_for_status,
    wait_until,
    worked,
)

from medpeft_core.errors import RunError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs import RunStore, lanes
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker import dispatch


def test_supervisor_starts_nine_runs_in_order_one_at_a_time_on_each_device(store, supervise):
    runs = [make_run(store, device="cuda:0" if index % 3 == 2 else "cpu", seconds=0.05) for index in range(9)]
    supervisor = supervise()
    wait_until(lambda: supervisor.is_idle, "an empty queue")
    assert [run.status for run in runs] == ["finished"] * 9
    for device in ("cpu", "cuda:0"):
        spans = [worked(run) for run in runs if run.state().device == device]
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans)), device
    assert [count_starts(run) for run in runs] == [1] * 9
    assert store.index.overview() == ([], [], [])


def test_supervisor_fills_the_lanes_of_the_cpu_and_lets_nobody_overtake_who_wants_all_of_it(store, supervise):
    lanes = [make_run(store, device=f"cpu:{index}", seconds=60) for index in range(2)]
    whole = make_run(store, device="cpu", seconds=0.05)
    late = [make_run(store, device=f"cpu:{index}", seconds=0.05) for index in range(2)]
    supervisor = supervise()
    for run in lanes:
        wait_for_status(run, "running")  # both at once: neither ends by itself
    store.request_stop(lanes[0].run_id)
    wait_for_status(lanes[0], "stopped")
    assert whole.status == "queued", "the other lane is held still"
    store.request_stop(lanes[1].run_id)
    wait_until(lambda: supervisor.is_idle, "an empty queue")
    assert all(worked(run)[0] >= worked(whole)[1] for run in late), "runs that came later wait their turn"
    assert store.index.overview() == ([], [], [])


def test_supervisor_gives_a_free_lane_to_whoever_is_next(store, supervise, monkeypatch):
    """Lanes given in turn left one idle while its neighbour had a queue; both threads shall work until the end."""
    monkeypatch.setattr(lanes, "count_cores", lambda: 2)
    long, first, second = (make_run(store, device="cpu:0", seconds=seconds) for seconds in (60, 0.05, 0.05))
    supervisor = supervise()
    wait_for_status(long, "running")
    for run in (first, second):
        wait_for_status(run, "finished")
        assert run.state().device == "cpu:1"
    assert long.status == "running"
    store.request_stop(long.run_id)
    wait_until(lambda: supervisor.is_idle, "an empty queue")
    assert store.index.overview() == ([], [], [])


def test_supervisor_takes_pretrainings_and_other_runs_from_one_queue(store, supervise):
    """Also one that the index lost, as after a crash, and one that is to be stopped."""
    first, second, lost = (
        make_run(store, config=PretrainConfig(), seconds=0.05),
        make_run(store, seconds=0.05),
        make_run(store, config=PretrainConfig(), seconds=60, is_queued=False),
    )
    lost.write_state(updated_at=time.time() - 2 * dispatch.LOST_AFTER_S)
    supervisor = supervise()
    wait_for_status(lost, "running")
    wait_until(lost.events, "its first event, which follows its state")
    assert (first.status, second.status) == ("finished", "finished")
    assert worked(first)[1] <= worked(second)[0], "one device, one at a time"
    assert worked(second)[1] <= lost.events()[0]["time"]
    assert first.folder.parent == store.pretraining_dir
    store.request_stop(lost.run_id)
    wait_for_status(lost, "stopped")
    wait_until(lambda: supervisor.is_idle, "an empty queue")
    assert store.index.overview() == ([], [], [])


def test_supervisor_busy_device_does_not_hold_up_another(store, supervise):
    first, second = make_run(store, seconds=60), make_run(store)
    elsewhere = [make_run(store, device="cuda:0"), make_run(store, device="cuda:0")]
    supervise()
    for run in elsewhere:
        wait_for_status(run, "finished")
    assert (first.status, second.status) == ("running", "queued")
    assert [entry.run_id for entry in store.index.queued()] == [second.run_id]


def test_supervisor_leaves_the_state_of_a_starting_run_alone(store, supervise):
    """A pid in the state of a queued run would make the run interrupted when the server dies at this moment."""
    run = make_run(store, boot_s=[1.0])
    supervise()
    wait_until(lambda: count_starts(run), "the start")
    assert (run.status, run.state().pid) == ("queued", None)
    assert [entry.run_id for entry in store.index.queued()] == [run.run_id]
    assert store.index.device_holder("cpu").run_id == run.run_id
    wait_for_status(run, "running")
    wait_until(lambda: store.index.queued() == [], "the entry's removal")
    wait_for_status(run, "finished")


@pytest.mark.parametrize(
    ("play", "status", "error"),
    [
        ({"outcome": "failed"}, "failed", "ValueError: a bad play"),
        ({"boot_s": [None]}, "interrupted", "exit code 1). The last line of log.txt: this worker crashes"),
    ],
    ids=["failed", "crashed before it began"],
)
def test_supervisor_goes_on_after_a_run_that_went_wrong(store, supervise, play, status, error):
    bad, good = make_run(store, **play), make_run(store)
    supervisor = supervise()
    wait_for_status(good, "finished")
    assert bad.status == status
    assert error in bad.state().error
    assert count_starts(bad) == 1
    wait_until(lambda: supervisor.is_idle, "an empty queue")


@pytest.mark.parametrize("error", [OSError(11, "Resource temporarily unavailable"), ZeroDivisionError("a bug")])
def test_supervisor_run_that_cannot_be_started_has_failed(store, supervise, monkeypatch, error):
    bad, good = make_run(store), make_run(store)

    def start(run):
        if run.run_id == bad.run_id:
            raise error
        return start_stand_in(run)

    monkeypatch.setattr(dispatch, "start_worker", start)
    supervisor = supervise()
    wait_for_status(good, "finished")
    assert bad.status == "failed"
    assert str(error) in bad.state().error
    assert "could not be started" in bad.state().error
    assert len(texts(supervisor, "problem")) == 1


def test_supervisor_run_whose_end_cannot_be_written_does_not_block_its_device(store, supervise, monkeypatch):
    """On a full disk the claim of a run that could not be started stayed, and nothing else could run there."""
    bad, good = make_run(store), make_run(store)

    def start(run):
        if run.run_id == bad.run_id:
            raise OSError(28, "No space left on device")
        return start_stand_in(run)

    def refuse(self, run, status, *, error=None):
        raise RunError("The disk is full.")

    monkeypatch.setattr(dispatch, "start_worker", start)
    monkeypatch.setattr(RunStore, "end_run", refuse)
    supervise()
    wait_for_status(good, "finished")
    assert bad.status == "queued"
    assert [entry.run_id for entry in store.index.queued()] == [bad.run_id]


def test_supervisor_removes_entries_that_must_not_start(store, supervise, other_process):
    gone, damaged, no_json = make_run(store), make_run(store), make_run(store)
    shutil.rmtree(gone.folder)
    damaged.state_path.write_text("{")
    no_json.state_path.write_text("[]")
    over = {status: make_run(store) for status in ("finished", "failed", "stopped", "interrupted", "cancelled")}
    for status, run in over.items():
        run.write_state(status=status)
    pid, started = process_identity(other_process.pid)
    running, waiting = make_run(store), make_run(store)
    running.write_state(status="running", pid=pid, pid_started=started, device="mps")
    waiting.write_state(pid=pid, pid_started=started)  # `resume` in a terminal waits for the device by itself
    good = make_run(store)
    supervisor = supervise()
    wait_for_status(good, "finished")
    wait_until(lambda: store.index.queued() == [], "an empty queue")
    removed = texts(supervisor, "removed")
    assert len(removed) == 10
    assert any("it is cancelled." in text for text in removed)
    assert any(f"Run {damaged.run_id} was taken out of the queue: state.json" in text for text in removed)
    assert {status: run.status for status, run in over.items()} == {status: status for status in over}
    assert [run.status for run in (running, waiting)] == ["running", "queued"]
    assert [count_starts(run) for run in (*over.values(), running, waiting, damaged)] == [0] * 8


def test_supervisor_cancelled_run_is_not_started(store, supervise):
    first, second, third = make_run(store, seconds=0.5), make_run(store), make_run(store)
    supervise()
    wait_for_status(first, "running")
    store.request_stop(second.run_id)
    wait_for_status(third, "finished")
    assert (second.status, count_starts(second)) == ("cancelled", 0)


def test_supervisor_run_cancelled_while_its_worker_starts_never_trains(store, supervise):
    run, after = make_run(store, boot_s=[0.5]), make_run(store)
    supervise()
    wait_until(lambda: count_starts(run), "the start")
    store.request_stop(run.run_id)
    assert run.status == "cancelled"
    wait_for_status(after, "finished")
    assert (run.status, list_events(run)) == ("cancelled", ["cancelled"])
    assert "is cancelled; there is nothing to train" in run.log_path.read_text()


def test_supervisor_run_cancelled_as_its_worker_begins_keeps_its_device_until_the_end(store, other_process):
    """The lock of a worker that had just taken over was deleted, and a second run started beside it."""
    run = make_run(store)
    pid, started = process_identity(other_process.pid)
    assert store.index.claim_device("cpu", run.run_id, pid, started)
    assert store.index.hand_over_device("cpu", run.run_id, pid, started)
    store.request_stop(run.run_id)
    assert store.index.is_stop_requested(run.run_id), "the worker may have passed its last look at the state"
    assert store.index.device_holder("cpu").pid == pid
    assert store.index.queued() == []


def test_supervisor_stops_a_running_run_and_goes_on(store, supervise):
    run, after = make_run(store, seconds=60), make_run(store)
    supervise()
    wait_for_status(run, "running")
    store.request_stop(run.run_id)
    wait_for_status(run, "stopped", seconds=5)
    wait_for_status(after, "finished")


def test_supervisor_queues_a_run_again_that_got_lost(store, supervise, monkeypatch):
    """A crash between making a run and queueing it left it queued for ever."""
    run = make_run(store, is_queued=False)
    supervisor = supervise()
    time.sleep(5 * POLL_S)
    assert count_starts(run) == 0, "whoever made it just now will queue it"
    supervisor.stop()
    monkeypatch.setattr(dispatch, "LOST_AFTER_S", 0)
    supervise()
    wait_for_status(run, "finished")
