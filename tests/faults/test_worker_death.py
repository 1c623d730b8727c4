"""Workers that are killed, stopped, orphaned or stubborn: real processes, real files."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import RunStore
from medpeft_core.runs.events import append_event, read_events
from medpeft_core.runs.liveness import is_alive, process_identity
from medpeft_core.worker.launch import follow_run, start_worker, stop_worker, wait_for_device
from medpeft_core.worker.processes import kill_tree

pytestmark = pytest.mark.faults
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

OBEDIENT = """
import sys, time
from pathlib import Path
from medpeft_core.runs import Run
from medpeft_core.worker.main import run_guarded
def train(run, control):
    control.set_progress(phase="training", epochs=1)
    for step in range(100_000):
        control.emit({"type": "step", "step": step})
        control.set_progress(step=step)
        if control.should_stop():
            return "stopped"
        time.sleep(0.02)
    return "finished"
sys.exit(run_guarded(Run(Path(sys.argv[1])), train))
"""
SHORT = OBEDIENT.replace("100_000", "60")
STUBBORN = """
import signal, subprocess, sys, time
from pathlib import Path
from medpeft_core.runs import Run
from medpeft_core.worker.main import run_guarded
def train(run, control):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    control.emit({"type": "log", "child": child.pid})
    time.sleep(120)
    return "finished"
sys.exit(run_guarded(Run(Path(sys.argv[1])), train))
"""


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def run(store):
    return store.create(RunConfig(), provenance={}, device="cpu")


@pytest.fixture
def launch():
    """Starts a script as the worker of a run; whatever still lives at the end is killed."""
    started = []

    def start(code, run):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(run.folder)],
            start_new_session=os.name == "posix",
            stdin=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            kill_tree(*process_identity(process.pid), term_wait_s=0)
        process.wait()


def wait_until(is_true, what, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def wait_for_steps(run, number=3):
    wait_until(lambda: sum(event["type"] == "step" for event in run.events()) >= number, "steps")


def test_worker_killed_is_interrupted_and_its_device_free(store, run, launch):
    process = launch(OBEDIENT, run)
    wait_for_steps(run)
    assert store.index.device_holder("cpu").pid == process.pid
    process.kill()
    wait_until(
        lambda: not is_alive(run.state().pid, run.state().pid_started), "death"
    )  # a zombie: nobody has waited for it
    assert store.index.device_holder("cpu") is None
    assert store.settle(run).status == "interrupted"
    assert "out of memory or killed" in run.state().error
    other = store.create(RunConfig(), provenance={}, device="cpu")
    assert store.index.claim_device("cpu", other.run_id, *process_identity(os.getpid()))


def test_worker_killed_while_followed_is_settled(store, run, launch):
    process = launch(OBEDIENT, run)
    wait_for_steps(run)
    threading.Timer(0.5, process.kill).start()
    seen = []
    state = follow_run(run, process, on_events=seen.extend, poll_s=0.05)
    assert state.status == "interrupted"
    assert seen == run.events()
    assert seen[-1]["status"] == "interrupted"


def test_worker_killed_and_resumed_goes_on(store, run, launch):
    process = launch(OBEDIENT, run)
    wait_for_steps(run)
    process.kill()
    process.wait()
    with run.events_path.open("ab") as log:
        log.write(b'{"type": "step", "st')  # what a crash in the middle of a write leaves
    store.settle(run)
    offset = run.events_path.stat().st_size
    seen = []
    state = follow_run(run, launch(SHORT, run), on_events=seen.extend, offset=offset)
    assert state.status == "finished"
    assert [event["step"] for event in seen if event["type"] == "step"] == list(range(60))
    statuses = [event["status"] for event in run.events() if event["type"] == "status"]
    assert statuses == ["running", "interrupted", "running", "finished"]


@posix_only
def test_worker_takes_sigterm_for_stop_and_ignores_sigint(store, run, launch):
    process = launch(OBEDIENT, run)
    wait_for_steps(run)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 130
    assert run.status == "stopped"
    assert not store.index.is_stop_requested(run.run_id)
    assert store.index.device_holder("cpu") is None


def test_worker_acknowledges_a_stop_request_within_a_second(store, run, launch):
    process = launch(OBEDIENT, run)
    wait_for_steps(run)
    asked_at = time.time()
    state = stop_worker(store, run, process, grace_s=10)
    assert (state.status, process.returncode) == ("stopped", 130)
    stopping = [event for event in run.events() if event.get("status") == "stopping"]
    assert len(stopping) == 1
    assert stopping[0]["time"] - asked_at < 1.0


def test_worker_can_be_stopped_by_a_process_that_did_not_start_it(store, run, launch):
    launch(OBEDIENT, run)
    wait_for_steps(run)
    assert stop_worker(RunStore(store.home), run, None, grace_s=10).status == "stopped"


@posix_only
@pytest.mark.parametrize("is_own", [True, False])
def test_worker_that_does_not_stop_is_killed_with_its_children(store, run, launch, monkeypatch, is_own):
    monkeypatch.setattr("medpeft_core.worker.launch.TERM_WAIT_S", 0.3)
    process = launch(STUBBORN, run)
    wait_until(lambda: any("child" in event for event in run.events()), "the child")
    child = next(event["child"] for event in run.events() if "child" in event)
    state = stop_worker(store, run, process if is_own else None, grace_s=1.5)
    assert state.status == "interrupted"
    assert "did not stop within 1.5 s" in state.error
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "the child's end")
    assert store.index.locks_of(run.run_id) == []


@posix_only
def test_worker_goes_on_when_its_parent_is_killed(store, run):
    middle = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]], start_new_session=True)\n"
        "time.sleep(120)"
    )
    parent = subprocess.Popen([sys.executable, "-c", middle, SHORT, str(run.folder)])
    wait_for_steps(run)
    parent.kill()
    parent.wait()
    assert store.settle(run).status == "running", "a new server finds it alive"
    wait_until(lambda: run.is_finished, "the end")
    assert run.status == "finished"


def test_worker_that_ends_before_it_begins_is_settled(store, run, launch):
    run.log_path.write_text("ImportError: no torch\n\n")
    store.index.claim_device("cpu", run.run_id, *process_identity(os.getpid()))
    state = follow_run(run, launch("raise SystemExit(7)", run), on_events=list)
    assert state.status == "interrupted"
    assert "exit code 7" in state.error
    assert "ImportError: no torch" in state.error
    assert store.index.device_holder("cpu") is None


def test_start_worker_runs_the_worker_with_its_output_in_the_log(store, run):
    store.request_stop(run.run_id)  # cancelled: the real worker must refuse, and say so
    process = start_worker(run)
    state = follow_run(run, process, on_events=list)
    assert (state.status, process.returncode) == ("cancelled", 1)
    assert "is cancelled; there is nothing to train" in run.log_path.read_text()


def test_stop_worker_cancels_a_queued_run(store, run):
    store.index.enqueue(run.run_id, "cpu")
    assert stop_worker(store, run, None).status == "cancelled"
    assert store.index.queued() == []


def test_wait_for_device_gets_it_when_the_holder_dies(store, run, launch):
    holder = store.create(RunConfig(), provenance={}, device="cpu")
    process = launch(OBEDIENT, holder)
    wait_for_steps(holder)
    waited_for = []

    def on_wait(run_id):
        waited_for.append(run_id)
        assert (run.status, run.state().phase) == ("queued", "waiting")
        if len(waited_for) == 3:
            process.kill()

    wait_for_device(store, "cpu", run, on_wait=on_wait, poll_s=0.1)
    assert set(waited_for) == {holder.run_id}
    assert store.index.device_holder("cpu").run_id == run.run_id
    assert follow_run(run, launch(SHORT, run), on_events=list).status == "finished"


def test_wait_for_device_ends_when_the_run_is_cancelled(store, run):
    holder = store.create(RunConfig(), provenance={}, device="cpu")
    store.index.claim_device("cpu", holder.run_id, *process_identity(os.getpid()))
    with pytest.raises(RunError, match="is cancelled now"):
        wait_for_device(store, "cpu", run, on_wait=lambda _: store.request_stop(run.run_id), poll_s=0.01)


def test_wait_for_device_queues_a_stopped_run_again(store, run):
    run.write_state(status="stopped", error="old")
    store.index.request_stop(run.run_id)
    wait_for_device(store, "cpu", run, on_wait=list)
    assert (run.status, run.state().error) == ("queued", None)
    assert not store.index.is_stop_requested(run.run_id)


def test_events_of_a_process_killed_while_writing_stay_readable(tmp_path):
    path = tmp_path / "events.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom medpeft_core.runs.events import append_event\n"
        "for step in range(10**9):\n"
        "    append_event(Path(sys.argv[1]), {'type': 'step', 'step': step, 'text': 'x' * 3000})"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        size = path.stat().st_size if path.exists() else 0
        wait_until(lambda size=size: path.exists() and path.stat().st_size > size + 50_000, "events")
        process.kill()
        process.wait()
        append_event(path, {"type": "log", "text": "after"})
        assert read_events(path)[0][-1]["text"] == "after"
    steps = [event["step"] for event in read_events(path)[0] if event["type"] == "step"]
    assert steps.count(0) == 3
