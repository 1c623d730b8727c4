"""Supervisor: who leads, in which order runs start, and what happens to those that cannot or do not stop."""

import itertools
import shutil
import subprocess
import sys
import threading
import time

import psutil
import pytest
from stand_in import (
    find_workers,
    kill_workers,
    list_events,
    make_run,
    start_stand_in,
    wait_for_status,
    wait_until,
)

from medpeft_core.errors import RunError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs import Run, RunStore
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker import dispatch, escalation
from medpeft_core.worker.launch import settle_ended
from medpeft_core.worker.processes import kill_tree
from medpeft_core.worker.supervisor import THREAD_NAME, Supervisor, stop_older_supervisors

POLL_S = 0.05


@pytest.fixture
def store(tmp_path):
    yield RunStore(tmp_path)
    kill_workers(tmp_path)


@pytest.fixture
def supervise(store, monkeypatch):
    """Makes supervisors that start stand-ins; all are stopped at the end."""
    monkeypatch.setattr(dispatch, "start_worker", start_stand_in)
    made = []

    def make(**options):
        supervisor = Supervisor(store, **{"poll_s": POLL_S, **options})
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def other_process():
    """A living process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def worked(run):
    """When a run began and ended."""
    times = [event["time"] for event in run.events() if event["type"] == "status"]
    return times[0], times[-1]


def count_starts(run):
    path = run.folder / "starts.txt"
    return path.read_text().count("start") if path.exists() else 0


def texts(supervisor, kind):
    return [event.text for event in supervisor.take_events() if event.kind == kind]


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


def test_supervisor_second_one_views_and_takes_over(store, supervise):
    first, second = supervise(), supervise()
    assert (first.role, second.role) == ("leader", "viewer")
    assert first.is_alive
    assert second.is_alive
    run = make_run(store, seconds=60)
    wait_for_status(run, "running")
    begin = time.monotonic()
    first.stop()
    assert time.monotonic() - begin < 1.0
    assert (first.role, first.is_alive) == ("viewer", False)
    wait_until(lambda: second.role == "leader", "the change", seconds=2)
    assert run.status == "running"
    assert len(find_workers(store.home)) == 1
    assert any(run.run_id in text for text in texts(second, "found"))
    store.request_stop(run.run_id)
    wait_for_status(run, "stopped")
    first.start()
    assert (first.role, second.role) == ("viewer", "leader")


def test_supervisor_superseded_while_a_worker_starts_hands_the_run_on(store, supervise):
    """After a reload of the code the new supervisor knew nothing of the worker that the old one had just started."""
    run, after = make_run(store, boot_s=[0.6]), make_run(store)
    supervise()
    wait_until(lambda: count_starts(run), "the start")
    assert stop_older_supervisors() == 1
    supervisor = supervise()
    wait_for_status(after, "finished")
    assert list_events(run) == ["running", "finished"]
    wait_until(lambda: supervisor.is_idle, "an empty queue")


def test_stop_older_supervisors_ends_all_of_this_process(store, supervise, tmp_path):
    supervise()
    supervise()
    bystander = threading.Thread(target=time.sleep, args=(1,), name=THREAD_NAME)
    bystander.start()
    assert stop_older_supervisors() == 2
    alive = [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]
    assert alive == [bystander]
    assert supervise().role == "leader"
    bystander.join()


def test_supervisor_starts_once(store, supervise):
    supervisor = supervise()
    supervisor.start()
    assert sum(thread.name == THREAD_NAME for thread in threading.enumerate()) == 1
    supervisor.stop()
    supervisor.stop()
    supervisor.start()
    assert supervisor.role == "leader"


def test_supervisor_whose_home_cannot_be_used_tries_again(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    supervisor = Supervisor(RunStore(tmp_path / "home"), poll_s=POLL_S)
    supervisor.start()
    assert supervisor.role == "viewer"
    assert "home" in supervisor.problem
    (tmp_path / "home").unlink()
    wait_until(lambda: supervisor.role == "leader", "the lead")
    wait_until(lambda: supervisor.problem is None, "the end of the trouble")
    supervisor.stop()


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
