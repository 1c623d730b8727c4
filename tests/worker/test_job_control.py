"""What the process of a job does beside its work: progress, stops, its state; the work is in test_job_faults.py."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker import job_process
from medpeft_core.worker.job_process import JobControl, Stopped
from medpeft_core.worker.job_state import Job, JobRequest, JobState
from medpeft_core.worker.jobs import JobStore

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


SMALL = {"dataset": "phantom", "options": {"num_patients": 20}}


@pytest.fixture
def store(home):
    return JobStore(home)


@pytest.fixture
def job(store):
    """A job without a process."""
    folder = store.jobs_dir / "20261121-215403-481920-prepare-4f2a"
    folder.mkdir(parents=True)
    job = Job(folder)
    job.write_state(JobState(started_at=time.time()))
    return job


def test_control_writes_seldom_and_loses_no_last_word(job, monkeypatch):
    written = []
    monkeypatch.setattr(Job, "write_state", lambda self, state: written.append((time.monotonic(), state)))
    control = JobControl(job, job.state())
    began = time.monotonic()
    with control:
        while time.monotonic() - began < 1.1:
            control("drawing", len(written), 100)
        control("decoding", 7, 7)
        time.sleep(2 * job_process.TICK_S)
    seconds = time.monotonic() - began
    assert 3 <= len(written) <= 1 + seconds / job_process.TICK_S
    assert (written[-1][1].what, written[-1][1].done) == ("decoding", 7)
    assert control.state.what == "decoding"


def test_control_estimates_the_end_of_each_phase_from_its_speed(job, monkeypatch):
    now = 100.0
    monkeypatch.setattr(job_process.time, "monotonic", lambda: now)
    control = JobControl(job, job.state())
    control("drawing", 0, 40)
    now += 50  # starting up
    control("drawing", 0, 40)
    now += 0.5
    control("drawing", 5, 40)
    assert control.state.eta_s is None, "too early"
    now += 1.5
    control("drawing", 10, 40)
    assert control.state.eta_s == pytest.approx(6.0)
    control("decoding", 3, 40)
    assert control.state.eta_s is None, "another phase"
    now += 2
    control("decoding", 7, 40)
    assert control.state.eta_s == pytest.approx(2 / 4 * 33)


def test_control_goes_on_where_the_disk_refuses_to_show(job, monkeypatch):
    def write_state(self, state):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Job, "write_state", write_state)
        with JobControl(job, job.state()) as control:
            control("drawing", 1, 2)
            time.sleep(2 * job_process.TICK_S)
            control("drawing", 2, 2)
    assert job.state().what == "starting"


@pytest.fixture
def control(job):
    """An entered control that hears signals, as in the job's process."""
    control = JobControl(job, job.state())
    before = signal.signal(signal.SIGTERM, control.handle_signal)
    with control:
        yield control
    signal.signal(signal.SIGTERM, before)


def work_for(seconds, step=lambda: None):
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        step()
        time.sleep(0.01)


def test_control_raises_at_the_next_progress_after_a_stop_request(control, job):
    control("drawing", 0, 9)
    job.stop_path.touch()
    asked_at = time.monotonic()
    with pytest.raises(Stopped):
        work_for(5.0, lambda: control("drawing", 1, 9))
    assert time.monotonic() - asked_at < 1.0


@posix_only
@pytest.mark.parametrize("by", ["flag", "signal"])
def test_control_interrupts_work_that_tells_no_progress(control, job, by):
    def ask():
        job.stop_path.touch() if by == "flag" else os.kill(os.getpid(), signal.SIGTERM)

    asked_at = time.monotonic()

    def clean_up():
        os.kill(os.getpid(), signal.SIGTERM)  # a second signal must not end the cleaning up
        time.sleep(0.01)
        cleaned.append(True)

    cleaned = []
    timer = threading.Timer(0.2, ask)
    timer.start()
    with contextlib.suppress(Stopped), control.interruptible("loading"), contextlib.ExitStack() as stack:
        stack.callback(clean_up)
        work_for(5.0)
    assert cleaned
    assert time.monotonic() - asked_at < 1.5
    timer.join()
    with pytest.raises(Stopped):
        control("creating runs", 0, 2)


def test_job_process_takes_over_from_a_starter_that_died(job, monkeypatch):
    monkeypatch.setattr(job_process, "STARTER_WAIT_S", 0.05)
    state = job_process._take_over(job)
    assert (state.pid, state.pid_started) == process_identity(os.getpid())


def test_job_process_refuses_a_job_that_is_over(job, capfd):
    job.request_path.write_text(json.dumps(dataclasses.asdict(JobRequest(kind="prepare", title="x"))))
    job.write_state(JobState(status="interrupted"))
    command = [sys.executable, "-m", "medpeft_core.worker.job_process"]
    assert subprocess.run([*command, str(job.folder)], check=False).returncode == 1
    assert "is over already" in capfd.readouterr().err
    assert subprocess.run([*command, str(job.home)], check=False).returncode == 2
    assert "Give one argument, the folder of a job" in capfd.readouterr().err
    assert job.state().status == "interrupted"
