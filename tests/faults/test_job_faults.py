"""Jobs in real processes: what they leave when they end, are stopped, are killed, or meet a full disk."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import find_prepared
from medpeft_core.runs.liveness import is_alive
from medpeft_core.runs.store import RunStore
from medpeft_core.worker import jobs
from medpeft_core.worker.jobs import JobStore

pytestmark = pytest.mark.faults
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

SMALL = {"dataset": "phantom", "options": {"num_patients": 20, "size": 32}, "cache_size": 16}
LARGE = {"dataset": "phantom", "options": {"num_patients": 5000, "size": 224}}
DRAWING = "drawing synthetic radiographs"
LIMITED = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))\n"
    "from medpeft_core.worker.job_process import main\n"
    "sys.exit(main(sys.argv[1]))"
)
STARTER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from medpeft_core.worker.jobs import JobStore\n"
    "data = {'dataset': 'phantom', 'options': {'num_patients': 20, 'size': 32}, 'cache_size': 16}\n"
    "print(JobStore(Path(sys.argv[1])).start('prepare', 'x', data=data).job_id)"
)


@pytest.fixture
def store(home):
    """A store whose jobs are killed at the end of the test."""
    store = JobStore(home)
    yield store
    for job in store.list_jobs():
        state = job.state()
        if is_alive(state.pid, state.pid_started):
            psutil.Process(state.pid).kill()
        store.settle(job)


def wait_until(is_true, what, seconds=60.0):
    """Wait, and give the seconds that it took."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < seconds, f"waited in vain for {what}"
        time.sleep(0.02)
    return time.monotonic() - began


def wait_for_end(store, job):
    wait_until(lambda: store.settle(job).is_finished, f"the end of the job at {job.state()}")
    return job.state()


def start_drawing(store):
    """A job that is at drawing, and the processes that draw for it."""
    job = store.start("prepare", "Large phantoms", data=LARGE)
    wait_until(lambda: job.state().what == DRAWING and job.state().done > 0, "drawing")
    children = psutil.Process(job.state().pid).children(recursive=True)
    assert len(children) == min(16, os.cpu_count() or 1) * ((os.cpu_count() or 1) > 1)
    return job, children


def are_gone(processes):
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def leftovers(home):
    """Files of data sets and decoded pixels, but for locks."""
    paths = [*home.glob("datasets/*"), *home.glob("cache/pixels/*")]
    return sorted(path.name for path in paths if path.suffix != ".lock")


def test_prepare_job_leaves_what_training_needs_and_a_report(store, home, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # the log then names every import
    job = store.start("prepare", "Small phantoms", data=SMALL)
    assert JobStore(home).start("prepare", "Again", data=SMALL).job_id == job.job_id
    state = wait_for_end(store, job)
    assert (state.status, state.error, state.eta_s, state.run_ids) == ("finished", None, None, ())
    assert job.report()["num_patients"] == 20
    assert job.report()["dataset"] == "phantom"
    assert find_prepared(DataConfig(**SMALL)) is not None
    imported = [line.rpartition("|")[2].strip() for line in job.log_path.read_text().splitlines()]
    assert "pandas" in imported
    assert "torch" not in imported
    assert sorted(path.name for path in job.folder.iterdir()) == [
        "log.txt",
        "report.json",
        "request.json",
        "state.json",
    ]
    children = psutil.Process().children  # other tests may have left theirs, such as a browser
    wait_until(lambda: store.settle(job) and state.pid not in [child.pid for child in children()], "no zombie")


def test_prepare_job_that_fails_says_why(store, tmp_path):
    job = store.start("prepare", "x", data={"dataset": "nih", "root": str(tmp_path)})
    state = wait_for_end(store, job)
    assert state.status == "failed"
    assert "holds neither Data_Entry_2017.csv" in state.error
    assert "Traceback" not in job.log_path.read_text()


@pytest.mark.parametrize("by", ["flag", pytest.param("signal", marks=posix_only)])
def test_job_stopped_while_drawing_leaves_nothing(store, home, by):
    job, children = start_drawing(store)
    if by == "flag":
        store.request_stop(job.job_id)
        assert job.state().what == "stopping"
    else:
        os.kill(job.state().pid, signal.SIGTERM)
    seconds = wait_until(lambda: job.state().is_finished, "the stop")
    assert seconds < 5.0  # on a busy machine; else it takes half a second
    assert (job.state().status, job.state().error) == ("stopped", None)
    assert are_gone(children)
    assert leftovers(home) == []


@posix_only
def test_job_killed_while_drawing_leaves_no_process_and_can_be_started_again(store, home):
    job, children = start_drawing(store)
    os.kill(job.state().pid, signal.SIGKILL)
    assert wait_until(lambda: are_gone(children), "the end of the drawing processes", 10.0) < 5.0
    state = store.settle(job).state()
    assert state.status == "interrupted"
    assert "Start it again" in state.error
    assert [name.partition("-")[0] for name in leftovers(home)] == [".phantom"], "half a set, hidden"
    again = store.start("prepare", "Large phantoms", data=LARGE)
    assert again.job_id != job.job_id
    wait_until(lambda: again.state().done > 0, "drawing")
    assert len(leftovers(home)) == 1, "the half set of the killed job was removed"
    store.request_stop(again.job_id)
    assert wait_for_end(store, again).status == "stopped"
    assert leftovers(home) == []


def test_job_goes_on_when_its_starter_has_ended(store, home):
    started = subprocess.run([sys.executable, "-c", STARTER, str(home)], capture_output=True, text=True, check=True)
    job = store.load(started.stdout.strip())
    assert wait_for_end(store, job).status == "finished"


@posix_only
@pytest.mark.parametrize(("limit", "message"), [(100_000, "The disk is full"), (400_000, "The pixel cache of ")])
def test_job_on_a_full_disk_fails_with_the_reason(store, home, monkeypatch, limit, message):
    """The first limit meets the reserve of the job, the second the decoded images."""

    def start_process(job):
        return subprocess.Popen([sys.executable, "-c", LIMITED, str(job.folder), str(limit)])

    monkeypatch.setattr(jobs, "start_process", start_process)
    job = store.start("prepare", "x", data={**SMALL, "options": {"num_patients": 20, "size": 128}, "cache_size": 128})
    state = wait_for_end(store, job)
    assert state.status == "failed"
    assert message in state.error
    assert not list(job.folder.glob(".*")), "neither the reserve nor temporary files"
    assert not list(home.glob("cache/pixels/.*"))


def launch_configs():
    return [
        {"data": SMALL, "backbone": {"name": "test_vit", "image_size": 32}, "method": {"name": name}}
        for name in ("lora", "linear")
    ]


def test_launch_job_prepares_checks_and_queues_all_runs(store, home):
    job = store.start("launch", "Two methods", configs=launch_configs())
    seen = []
    wait_until(lambda: seen.append(job.state().what) or store.settle(job).is_finished, "the runs")
    state = job.state()
    assert (state.status, state.error) == ("finished", None)
    run_store = RunStore(home)
    assert [run_store.load(run_id).config().method.name for run_id in state.run_ids] == ["lora", "linear"]
    assert [entry.run_id for entry in run_store.index.queued()] == list(state.run_ids)
    assert "loading the model library" in seen


def test_pretrain_job_prepares_checks_and_queues_the_pretraining(store, home):
    config = {"data": SMALL, "encoder": {"name": "test_vit", "image_size": 32}, "train": {"epochs": 3}}
    job = store.start("pretrain", "Small phantoms", configs=[config])
    state = wait_for_end(store, job)
    assert (state.status, state.error) == ("finished", None)
    run_store = RunStore(home)
    [run] = run_store.list_pretrainings()
    assert state.run_ids == (run.run_id,)
    assert [(entry.run_id, entry.device) for entry in run_store.index.queued()] == [(run.run_id, run.state().device)]
    assert run.pretrain_config().mae.decoder_width is not None, "the folder says everything"
    assert run.provenance()["num_train_images"] > 0
    assert run_store.list_runs() == []


def test_launch_job_stopped_while_it_loads_the_libraries_makes_no_run(store, home):
    job = store.start("launch", "Two methods", configs=launch_configs())
    wait_until(lambda: job.state().what == "loading the model library", "the imports")
    store.request_stop(job.job_id)
    assert wait_until(lambda: job.state().is_finished, "the stop") < 5.0
    assert job.state().status == "stopped"
    assert RunStore(home).list_runs() == []
    assert find_prepared(DataConfig(**SMALL)) is not None, "the data are ready all the same"
