"""Workers that meet a full disk, the end of memory, a damaged index, or a rival: real processes, real files."""

import os
import subprocess
import sys
import time

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.runs import RunStore
from medpeft_core.worker.launch import follow_run, stop_worker

pytestmark = pytest.mark.faults
HEAD = """
import sys, time
from pathlib import Path
from medpeft_core.runs import Run
from medpeft_core.worker.main import run_guarded
"""
TAIL = "\nsys.exit(run_guarded(Run(Path(sys.argv[1])), train))\n"
FILE_LIMIT = """
import resource
def train(run, control):
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    control.set_progress(phase="training", epoch=1, epochs=2)
    (run.folder / "weights.bin").write_bytes(b"x" * 1_000_000)
    return "finished"
"""
EVENT_LIMIT = """
import resource
def train(run, control):
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    for step in range(10_000):
        control.emit({"type": "step", "step": step, "text": "x" * 1000})
    return "finished"
"""
MEMORY_LIMIT = """
import resource
def train(run, control):
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    hoard = [bytearray(2**26) for _ in range(64)]
    return "finished"
"""
PATIENT = """
def train(run, control):
    for step in range(100_000):
        control.emit({"type": "step", "step": step})
        if control.should_stop():
            return "stopped"
        time.sleep(0.02)
    return "finished"
"""
RACER = """
import os, sys, time
from pathlib import Path
from medpeft_core.runs import LabIndex
from medpeft_core.runs.liveness import process_identity
index, me = LabIndex(Path(sys.argv[1])), process_identity(os.getpid())
start_at = float(sys.argv[3])
for number in range(10):
    time.sleep(max(0.0, start_at + 0.1 * number - time.time()))
    print(int(index.claim_device(f"cuda:{number}", sys.argv[2], *me)), flush=True)
time.sleep(1.0)
"""


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def run(store):
    return store.create(RunConfig(), provenance={}, device="cpu")


def start(train, run):
    return subprocess.Popen([sys.executable, "-c", HEAD + train + TAIL, str(run.folder)], stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE is POSIX")
@pytest.mark.parametrize("train", [FILE_LIMIT, EVENT_LIMIT], ids=["weights", "events"])
def test_worker_that_cannot_write_fails_with_the_disk_sentence(store, run, train):
    process = start(train, run)
    state = follow_run(run, process, on_events=list)
    assert process.returncode == 1
    assert store.index.device_holder("cpu") is None
    assert [path.name for path in run.folder.glob(".*")] == [], "neither temporary files nor the reserve"
    assert run.config() == RunConfig()
    assert state.status == "failed"
    assert state.error.startswith("The disk is full: ")
    assert "Free some space, then resume the run." in state.error
    if train is FILE_LIMIT:
        assert run.events()[-1]["status"] == "failed"
    else:
        assert len([event for event in run.events() if event["type"] == "step"]) > 50


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS is enforced on Linux only")
def test_worker_out_of_memory_fails_with_advice(store, run):
    state = follow_run(run, start(MEMORY_LIMIT, run), on_events=list)
    assert state.status == "failed"
    assert "train.batch_size 16" in state.error
    assert "MemoryError" in run.log_path.read_text()


@pytest.mark.parametrize("damage", ["delete", "garbage"])
def test_worker_survives_the_loss_of_the_index(store, run, damage):
    process = start(PATIENT, run)
    try:
        deadline = time.monotonic() + 20
        while len(run.events()) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for _ in range(5):
            if damage == "delete":
                for path in store.home.glob("lab.sqlite*"):
                    path.unlink(missing_ok=True)
            else:
                store.index.path.write_bytes(b"garbage " * 1000)
            time.sleep(0.3)
            assert process.poll() is None
            assert store.index.device_holder("cpu").pid == process.pid, "its lock came back"
        time.sleep(1.2)
        assert time.time() - store.index.last_beat(run.run_id) < 2.0
        state = stop_worker(store, run, process, grace_s=10)
    finally:
        process.kill()
        process.wait()
    assert state.status == "stopped"


def test_device_lock_is_won_by_exactly_one_of_several_processes(store):
    store.index.queued()  # makes the file, so that the race is about the lock
    start_at = str(time.time() + 1.5)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.home), f"run{n}", start_at], stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    wins = [[int(line) for line in racer.communicate()[0].split()] for racer in racers]
    assert [sum(column) for column in zip(*wins, strict=True)] == [1] * 10


def test_index_is_made_by_several_processes_at_once(store):
    """A fresh home that the app and the command line opened at the same moment told one of them that it was locked."""
    start_at = str(time.time() + 1.5)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.home), f"run{n}", start_at], stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    assert [len(racer.communicate()[0].split()) for racer in racers] == [10] * 4
    assert [racer.returncode for racer in racers] == [0] * 4
