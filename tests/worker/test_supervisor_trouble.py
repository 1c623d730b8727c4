"""The supervisor where workers do not stop, files go, the disk is full, or it has a bug itself."""

import subprocess
import sys
import threading
import time

from stand_in import (
    kill_workers,
    make_run,
    start_stand_in,
    texts,
    wait_for_status,
    wait_until,
    worked,
)

from medpeft_core.errors import RunError
from medpeft_core.runs import Run
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker import dispatch, escalation
from medpeft_core.worker.launch import settle_ended
from medpeft_core.worker.processes import kill_tree


def test_supervisor_kills_a_worker_that_does_not_stop_without_holding_up_others(store, supervise, monkeypatch):
    monkeypatch.setattr(escalation, "GRACE_S", 0.05)
    monkeypatch.setattr(escalation, "MIN_NOTICE_S", 0.0)
    may_kill = threading.Event()

    def kill_slowly(pid, started, *, term_wait_s):
        may_kill.wait(30)
        kill_tree(pid, started, term_wait_s=0.1)

    monkeypatch.setattr(escalation, "kill_tree", kill_slowly)
    run, after = make_run(store, seconds=60, outcome="stubborn"), make_run(store)
    supervise()
    wait_for_status(run, "running")
    store.request_stop(run.run_id)
    wait_until(lambda: any(thread.name == "medpeft-kill" for thread in threading.enumerate()), "the kill", seconds=10)
    elsewhere = make_run(store, device="cuda:0", seconds=0)
    wait_for_status(elsewhere, "finished")
    assert run.status == "running"
    may_kill.set()
    wait_for_status(run, "interrupted")
    assert run.state().error.startswith("The run did not stop within 0.")
    assert "s and was killed. Resume it" in run.state().error
    wait_for_status(after, "finished")


def test_supervisor_gives_a_worker_that_has_heard_more_time(monkeypatch):
    now = time.time()
    unheard = escalation.StopRequest("a", now - 29, None)
    heard = escalation.StopRequest("b", now - 600, now - 31)
    late = escalation.StopRequest("c", now - 9999, None)
    clock = [1000.0]
    monkeypatch.setattr(escalation.time, "monotonic", lambda: clock[0])
    watch = escalation.Escalation()
    assert watch.watch([unheard, heard, late]) == []
    clock[0] += 2.5
    assert watch.watch([unheard, heard, late]) == [unheard, late]
    clock[0] += 250
    assert watch.watch([heard]) == []
    clock[0] += 20
    assert watch.watch([heard]) == [heard]


def test_supervisor_forgets_a_stop_that_nobody_is_left_to_hear(store, supervise, monkeypatch):
    monkeypatch.setattr(escalation, "GRACE_S", 0.05)
    monkeypatch.setattr(escalation, "MIN_NOTICE_S", 0.0)
    run = make_run(store)
    store.request_stop(run.run_id)
    supervise()
    wait_until(lambda: not store.index.is_stop_requested(run.run_id), "the row's removal")
    assert run.status == "cancelled"


def test_supervisor_goes_on_when_the_index_is_deleted(store, supervise):
    """The lock was lost with the file: a second run must not start beside the one at work."""
    run, after = make_run(store, seconds=1.0), make_run(store)
    supervise()
    wait_for_status(run, "running")
    for suffix in ("", "-wal", "-shm"):
        (store.home / f"lab.sqlite{suffix}").unlink(missing_ok=True)
    wait_for_status(after, "finished")
    assert run.status == "finished"
    assert worked(run)[1] <= worked(after)[0]


def test_supervisor_gives_an_adopted_worker_its_lost_lock_back(store, supervise):
    run = make_run(store, seconds=60, is_queued=False)
    process = start_stand_in(run)
    wait_for_status(run, "running")
    store.index.release_run(run.run_id)
    other = make_run(store)
    store.index.dequeue(other.run_id)
    supervise()
    wait_until(lambda: store.index.locks_of(run.run_id), "the lock")
    assert store.index.locks_of(run.run_id)[0][2:] == (*process_identity(process.pid), True)
    kill_workers(store.home)
    process.wait()
    wait_for_status(run, "interrupted", seconds=5)


def test_supervisor_goes_on_when_the_disk_was_full(store, supervise, monkeypatch):
    run = make_run(store)
    overview = store.index.overview

    def full():
        raise RunError("The lab's index cannot be used: database or disk is full. Free some space.")

    monkeypatch.setattr(store.index, "overview", full)
    supervisor = supervise()
    assert supervisor.role == "leader"
    wait_until(lambda: supervisor.problem, "the problem")
    assert "Free some space" in supervisor.problem
    assert not supervisor.is_idle
    monkeypatch.setattr(store.index, "overview", overview)
    wait_for_status(run, "finished")
    assert supervisor.problem is None


def test_supervisor_bug_in_a_look_ends_neither_thread_nor_queue(store, supervise, monkeypatch):
    run = make_run(store)
    overview = store.index.overview
    monkeypatch.setattr(store.index, "overview", lambda: 1 / 0)
    supervisor = supervise()
    wait_until(lambda: supervisor.problem == "ZeroDivisionError: division by zero", "the problem")
    monkeypatch.setattr(store.index, "overview", overview)
    wait_for_status(run, "finished")


def test_supervisor_scan_reads_only_runs_that_are_not_over(store, supervise, monkeypatch):
    for _ in range(5):
        make_run(store, is_queued=False).write_state(status="finished")
    open_run = make_run(store, is_queued=False)
    dispatcher = dispatch.Dispatcher(store)
    dispatcher.look()
    reads = []
    state = Run.state
    monkeypatch.setattr(Run, "state", lambda self: reads.append(self.run_id) or state(self))
    dispatcher.take_over()
    dispatcher.look()
    assert reads == [open_run.run_id]


def test_supervisor_scan_finds_runs_that_the_index_does_not_know(store, supervise):
    """A worker that died while no server was up, and whose lock is gone."""
    run, damaged = make_run(store, is_queued=False), make_run(store, is_queued=False)
    run.write_state(status="running", pid=2**22 + 1, pid_started=1.0)
    damaged.state_path.write_text("{")
    supervisor = supervise()
    wait_for_status(run, "interrupted")
    assert "ended without a word" in run.state().error
    assert len(texts(supervisor, "problem")) == 1


def test_settle_ended_leaves_a_run_to_the_worker_that_was_first(store, other_process):
    """The supervisor marked a run interrupted that was training: its second worker had been refused and had ended."""
    run = make_run(store)
    second = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    second.wait()
    pid, started = process_identity(other_process.pid)
    store.index.claim_device("cpu", run.run_id, pid, started)
    store.index.hand_over_device("cpu", run.run_id, pid, started)
    assert settle_ended(store, run, second).status == "queued", "before the first has written that it runs"
    run.write_state(status="running", pid=pid, pid_started=started)
    assert settle_ended(store, run, second).status == "running"
    assert store.index.device_holder("cpu").pid == pid
    assert store.index.queued()[0].run_id == run.run_id


def test_supervisor_costs_little_when_there_is_nothing_to_do(store, supervise):
    for _ in range(20):
        make_run(store, is_queued=False).write_state(status="finished")
    dispatcher = dispatch.Dispatcher(store)
    dispatcher.look()
    begin = time.process_time()
    for _ in range(20):
        dispatcher.look()
    assert (time.process_time() - begin) / 20 < 0.02
