"""Jobs as files: starting, finding, settling, stopping and deleting them; their work is in test_job_faults.py."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import ConfigError, MedPeftError, RunError
from medpeft_core.worker import jobs
from medpeft_core.worker.job_state import JobRequest, JobState, is_job_id
from medpeft_core.worker.jobs import JobStore

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


SLEEPER = "import time; time.sleep(120)"


SMALL = {"dataset": "phantom", "options": {"num_patients": 20}}


@pytest.fixture
def store(home):
    return JobStore(home)


@pytest.fixture
def launched(monkeypatch):
    """Jobs get a process that only sleeps; gives the list of these, which are killed at the end."""
    processes = []

    def start_process(job):
        processes.append(subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.DEVNULL))
        return processes[-1]

    monkeypatch.setattr(jobs, "start_process", start_process)
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def end(job, status="finished", **changes):
    """Write a job's last word, as its process would."""
    job.write_state(dataclasses.replace(job.state(), status=status, **changes))


def hidden(store):
    return [path.name for path in store.jobs_dir.glob(".*") if path.name != ".lock"]


def test_job_state_round_trips_and_ignores_unknown_keys():
    state = JobState(
        status="finished", what="x", done=3, total=4, eta_s=1.5, pid=7, pid_started=2.0, run_ids=("a", "b")
    )
    assert JobState.from_dict({**state.to_dict(), "novelty": 1}) == state
    assert json.loads(json.dumps(state.to_dict())) == state.to_dict()
    with pytest.raises(ValueError, match="status is 'queued', but it must be one of running, finished"):
        JobState.from_dict({"status": "queued"})


def test_job_request_key_ignores_the_title_only():
    request = JobRequest(kind="prepare", title="a", data={"x": 1, "y": 2})
    assert request.key == JobRequest(kind="prepare", title="b", data={"y": 2, "x": 1}).key
    assert request.key != JobRequest(kind="prepare", title="a", data={"x": 1, "y": 3}).key


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../runs/x", "20261121-215403-481920-prepare-4f2a/..", "20261121-215403-481920-prepare-4F2A",
     "20261121-215403-481920-other-4f2a", "20261121-215403-481920-prepare-4f2a\n", "/etc/passwd"],
)  # fmt: skip
def test_jobs_no_text_leads_to_another_folder(store, text):
    assert not is_job_id(text)
    for act in (store.load, store.request_stop, store.delete):
        with pytest.raises(RunError, match="is not the name of a job"):
            act(text)


def test_job_store_of_a_new_home_is_empty_and_makes_nothing(store, home):
    assert store.list_jobs() == []
    assert not home.exists()
    with pytest.raises(RunError, match="There is no job 20261121-215403-481920-prepare-4f2a"):
        store.load("20261121-215403-481920-prepare-4f2a")


def test_start_makes_a_whole_folder_and_names_the_process(store, launched):
    before = time.time()
    job = store.start("prepare", "Phantoms", data=SMALL)
    assert is_job_id(job.job_id)
    assert (job.kind, job.title, job.home) == ("prepare", "Phantoms", store.home)
    state = job.state()
    assert (state.status, state.what, state.pid) == ("running", "starting", launched[0].pid)
    assert before <= state.started_at <= time.time()
    assert store.settle(job).state() == state
    assert job.request().data["options"] == {"num_patients": 20, "size": 224, "seed": 0}, "defaults are filled in"
    assert job.report() is None
    assert hidden(store) == []


def test_start_gives_the_running_job_that_does_the_same(store, launched):
    first = store.start("prepare", "Phantoms", data=SMALL)
    same = store.start("prepare", "Other words", data={"options": {"num_patients": "20", "seed": 0}})
    other = store.start("prepare", "Phantoms", data={**SMALL, "cache_size": 64})
    assert same.job_id == first.job_id != other.job_id
    end(first)
    assert store.start("prepare", "Phantoms", data=SMALL).job_id not in (first.job_id, other.job_id)
    assert len(launched) == 3


def test_start_of_a_pretraining_checks_and_completes_its_settings(store, launched):
    config = {"data": SMALL, "encoder": {"name": "vit_tiny_patch16_224"}, "train": {"epochs": "3"}}
    job = store.start("pretrain", "Phantoms", configs=[config])
    assert is_job_id(job.job_id)
    [resolved] = job.request().configs
    assert (resolved["train"]["epochs"], resolved["mae"]["mask_ratio"]) == (3, 0.75)
    assert resolved["data"]["options"] == {"num_patients": 20, "size": 224, "seed": 0}
    for bad, text in (([], "no pre-training to launch"), ([{"encoder": {"name": "resnet18"}}], "needs a plain ViT")):
        with pytest.raises(MedPeftError, match=text):
            store.start("pretrain", "Phantoms", configs=bad)
    assert len(launched) == 1


def test_start_does_not_give_a_job_that_is_about_to_stop(store, launched):
    first = store.start("prepare", "Phantoms", data=SMALL)
    store.request_stop(first.job_id)
    assert store.start("prepare", "Phantoms", data=SMALL).job_id != first.job_id


def test_start_of_equal_launches_gives_one_job(store, launched):
    config = RunConfig().to_dict()
    first = store.start("launch", "One run", configs=[config])
    assert store.start("launch", "One run", configs=[{}]).job_id == first.job_id
    assert store.start("launch", "Two runs", configs=[config, config]).job_id != first.job_id
    assert RunConfig.from_dict(first.request().configs[0]).optim.lr is not None, "resolved"


def test_start_by_several_threads_at_once_gives_one_job(store, launched):
    found = []
    stores = [store, JobStore(store.home), JobStore(store.home), store]
    threads = [
        threading.Thread(target=lambda one=one: found.append(one.start("prepare", "Phantoms", data=SMALL).job_id))
        for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == len(launched) == 1


@pytest.mark.parametrize(
    ("kind", "request_", "message"),
    [
        ("prepare", {"data": {"dataset": "unheard_of"}}, "There is no data set 'unheard_of'"),
        ("prepare", {"data": {"options": {"num_patients": 1}}}, "data.num_patients is 1"),
        ("launch", {"configs": []}, "There is no run to launch"),
        ("launch", {"configs": [{}, {"optim": {"lr": -1}}]}, "optim.lr is -1"),
    ],
)
def test_start_refuses_wrong_settings_before_a_job_exists(store, launched, kind, request_, message):
    with pytest.raises(MedPeftError, match=message):
        store.start(kind, "x", **request_)
    assert (store.list_jobs(), launched) == ([], [])


def test_start_that_cannot_start_a_process_leaves_no_job(store, monkeypatch):
    def start_process(job):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs, "start_process", start_process)
    with pytest.raises(RunError, match=r"The job cannot be started\. The disk is full: .*Free some space"):
        store.start("prepare", "x", data=SMALL)
    assert store.list_jobs() == []
    assert hidden(store) == []


def test_start_keeps_the_newest_finished_jobs_and_all_running_ones(store, launched, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT_JOBS", 3)
    running = store.start("prepare", "running", data=SMALL)
    ids = []
    for seed in range(5):
        ids.append(store.start("prepare", "x", data={"options": {"seed": seed}}).job_id)
        end(store.load(ids[-1]))
    (store.jobs_dir / ".new-of-a-killed-program").mkdir()
    newest = store.start("prepare", "x", data={"options": {"seed": 9}})
    assert [job.job_id for job in store.list_jobs()] == [newest.job_id, *reversed(ids[2:]), running.job_id]
    assert hidden(store) == []


def test_list_jobs_leaves_out_what_is_no_job(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    (store.jobs_dir / "notes").mkdir()
    (store.jobs_dir / "20261121-215403-481920-prepare-4f2a").mkdir()
    assert [found.job_id for found in store.list_jobs()] == [job.job_id]


@posix_only
def test_settle_marks_a_job_whose_process_died(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    job.log_path.write_text("Traceback\nImportError: no pandas\n\n")
    launched[0].kill()
    while psutil.Process(launched[0].pid).status() != psutil.STATUS_ZOMBIE:  # nobody has asked for its end
        time.sleep(0.01)
    state = store.settle(job).state()
    assert (state.status, state.eta_s) == ("interrupted", None)
    assert "Start it again" in state.error
    assert state.error.endswith("ImportError: no pandas")
    assert launched[0].returncode == -signal.SIGKILL, "settle has reaped it"
    assert store.settle(job).state() == state


def test_settle_leaves_finished_and_foreign_living_jobs_alone(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    end(job, "failed", error="why")
    launched[0].kill()
    assert store.settle(job).state().error == "why"
    other = store.start("prepare", "x", data=SMALL)
    assert JobStore(store.home).settle(other).state().status == "running", "a new server finds it alive"


def test_settle_waits_a_while_for_a_job_without_a_process(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    state = dataclasses.replace(job.state(), pid=None, pid_started=None)
    job.write_state(state)
    assert store.settle(job).state().status == "running"
    job.write_state(dataclasses.replace(state, started_at=time.time() - jobs.START_TIMEOUT_S - 1))
    assert store.settle(job).state().status == "interrupted"


def test_request_stop_shows_at_once_and_leaves_a_finished_job_as_it_is(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    job.write_state(dataclasses.replace(job.state(), what="decoding images", done=3, total=9, eta_s=60))
    store.request_stop(job.job_id)
    store.request_stop(job.job_id)
    state = job.state()
    assert (state.status, state.what, state.eta_s, state.done) == ("running", "stopping", None, 3)
    end(job, "stopped", what="decoding images")
    assert job.state().what == "decoding images"
    assert store.request_stop(job.job_id).state().status == "stopped"


def test_delete_removes_a_finished_job_only(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    with pytest.raises(RunError, match="is running and cannot be deleted. Stop it first."):
        store.delete(job.job_id)
    end(job)
    store.delete(job.job_id)
    assert store.list_jobs() == []
    assert hidden(store) == []
    assert job.state().status == "failed", "whoever still looks at it is told, not stopped by an exception"


def test_job_with_damaged_files_says_so(store, launched):
    job = store.start("prepare", "x", data=SMALL)
    for content in ("{", "[]", '{"status": "lost"}', "\udc00"):
        job.state_path.write_bytes(content.encode("utf-8", errors="surrogatepass"))
        assert (job.state().status, job.is_finished) == ("failed", True)
        assert "is missing or damaged" in job.state().error
    job.report_path.write_text("{")
    with pytest.raises(RunError, match=r"report\.json of the job .* is damaged"):
        job.report()
    job.request_path.write_text('{"novelty": 1}')
    with pytest.raises(RunError, match=r"request\.json of the job .* is missing or damaged"):
        _ = job.title
    assert store.list_jobs() == [], "a page that lists jobs must not meet it"
    store.delete(job.job_id)
    assert not job.folder.exists()


def test_start_needs_at_least_one_config(store):
    with pytest.raises(ConfigError, match="no run to launch"):
        store.start("launch", "x")
