"""Who leads a home, and who watches until the leader is gone."""

import threading
import time

from stand_in import (
    POLL_S,
    count_starts,
    find_workers,
    list_events,
    make_run,
    texts,
    wait_for_status,
    wait_until,
)

from medpeft_core.runs import RunStore
from medpeft_core.worker.supervisor import THREAD_NAME, Supervisor, stop_older_supervisors


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
