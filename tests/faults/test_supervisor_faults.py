"""Servers and workers that are killed at any moment: no run is lost, none is trained twice, none stays running."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from stand_in import (
    find_workers,
    kill_workers,
    leading_process,
    list_events,
    make_run,
    start_stand_in,
    wait_for_status,
    wait_until,
)

from medpeft_core.runs import RunStore
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker import dispatch
from medpeft_core.worker.supervisor import Supervisor

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def store(tmp_path):
    yield RunStore(tmp_path)
    kill_workers(tmp_path)


@pytest.fixture
def supervisor(store, monkeypatch):
    """Not started yet."""
    monkeypatch.setattr(dispatch, "start_worker", start_stand_in)
    supervisor = Supervisor(store, poll_s=0.05)
    yield supervisor
    supervisor.stop()


def count_starts(run):
    path = run.folder / "starts.txt"
    return path.read_text().count("start") if path.exists() else 0


def test_supervisor_killed_worker_is_interrupted_and_the_next_run_starts(store, supervisor):
    run, after = make_run(store, seconds=60), make_run(store)
    supervisor.start()
    wait_for_status(run, "running")
    psutil.Process(run.state().pid).kill()
    wait_for_status(run, "interrupted", seconds=2)
    assert "out of memory or killed" in run.state().error
    wait_for_status(after, "finished", seconds=10)


def test_supervisor_takes_over_from_a_killed_server_and_adopts_its_worker(store, supervisor):
    run, after = make_run(store, seconds=60), make_run(store)
    with leading_process(store.home) as server:
        wait_for_status(run, "running")
        supervisor.start()
        assert supervisor.role == "viewer"
        pid = run.state().pid
        server.send_signal(signal.SIGKILL)
        wait_until(lambda: supervisor.role == "leader", "the change of the lead", seconds=2)
    time.sleep(0.5)
    assert [process.pid for process in find_workers(store.home)] == [pid]
    assert (run.status, after.status) == ("running", "queued")
    assert [event.kind for event in supervisor.take_events()] == ["found"]
    store.request_stop(run.run_id)
    wait_for_status(run, "stopped", seconds=5)
    wait_for_status(after, "finished")
    assert (count_starts(run), count_starts(after)) == (1, 1)
    assert next(event.status for event in supervisor.take_events() if event.kind == "ended") == "stopped"


def test_supervisor_adopted_worker_that_is_killed_is_interrupted(store, supervisor):
    run, after = make_run(store, seconds=60), make_run(store)
    with leading_process(store.home):
        wait_for_status(run, "running")
    supervisor.start()
    psutil.Process(run.state().pid).kill()
    wait_for_status(run, "interrupted", seconds=2)
    wait_for_status(after, "finished", seconds=10)


def test_supervisor_settles_at_its_start_what_died_while_no_server_was_there(store, supervisor):
    run, after = make_run(store, seconds=60), make_run(store)
    with leading_process(store.home):
        wait_for_status(run, "running")
    kill_workers(store.home)
    assert run.status == "running"
    supervisor.start()
    wait_for_status(run, "interrupted", seconds=2)
    wait_for_status(after, "finished", seconds=10)
    assert count_starts(run) == 1, "only a person resumes it"


@pytest.mark.parametrize("moment", ["before the start", "before the worker begins"])
def test_supervisor_goes_on_with_a_run_that_a_killed_server_was_starting(store, supervisor, moment):
    run = make_run(store, boot_s=[60])
    if moment == "before the start":
        claim_as_a_server_that_dies(store, run)
    else:
        with leading_process(store.home):
            wait_until(lambda: count_starts(run), "the start")
        kill_workers(store.home)
        (run.folder / "play.json").write_text('{"seconds": 0.1, "outcome": "finished", "boot_s": []}')
    (run.folder / "play.json").write_text('{"seconds": 0.1, "outcome": "finished", "boot_s": []}')
    supervisor.start()
    wait_for_status(run, "finished")
    assert list_events(run) == ["running", "finished"]


def claim_as_a_server_that_dies(store, run):
    """Leave what a server leaves that is killed between claiming the device and starting the worker."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert store.index.claim_device("cpu", run.run_id, *process_identity(process.pid))
    process.kill()
    process.communicate()


@pytest.mark.parametrize("boot_s", [[1.5, 0.2], [1.0, 2.0]], ids=["the second begins first", "the first begins first"])
def test_supervisor_two_workers_of_one_run_train_it_once(store, supervisor, boot_s):
    """The server is killed while its worker starts; the next one starts another, and both meet at the device."""
    run, after = make_run(store, boot_s=boot_s, seconds=1.5), make_run(store)
    with leading_process(store.home):
        wait_until(lambda: count_starts(run), "the start")
    supervisor.start()
    wait_until(lambda: count_starts(run) == 2, "the second start")
    wait_for_status(run, "finished")
    wait_for_status(after, "finished")
    assert list_events(run) == ["running", "finished"]
    assert len(run.log_path.read_text().splitlines()) == 1, "one of them was refused"
    assert run.run_id in run.log_path.read_text()
    assert count_starts(run) == 2
    wait_until(lambda: supervisor.is_idle, "an empty queue")
    kinds = [event.kind for event in supervisor.take_events() if event.run_id == run.run_id]
    assert kinds.count("ended") == 1
    assert "problem" not in kinds
    assert "removed" not in kinds


def test_supervisor_run_cancelled_while_no_server_is_there_is_not_started_by_the_orphan(store, supervisor):
    run = make_run(store, boot_s=[1.0])
    with leading_process(store.home):
        wait_until(lambda: count_starts(run), "the start")
    store.request_stop(run.run_id)
    supervisor.start()
    wait_until(lambda: not find_workers(store.home), "the orphan's end")
    assert (run.status, list_events(run)) == ("cancelled", ["cancelled"])


def test_supervisors_of_several_servers_start_each_run_once(store):
    """Three servers on one home, the leading one killed again and again while runs are queued."""
    runs = [make_run(store, device=f"cuda:{index % 3}", seconds=0.1) for index in range(9)]
    for _ in range(3):
        with leading_process(store.home), leading_process(store.home):
            time.sleep(0.8)
    with leading_process(store.home):
        wait_until(lambda: all(run.is_finished for run in runs) and not store.index.queued(), "all runs")
    assert [run.status for run in runs] == ["finished"] * 9
    assert [list_events(run) for run in runs] == [["running", "finished"]] * 9
