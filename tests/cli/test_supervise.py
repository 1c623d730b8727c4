"""`supervise`: a real run from the queue to its figures, one supervisor a home, and Ctrl-C that leaves runs alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands_run import TINY, run_command

from medpeft_core.cli import main
from medpeft_core.config import RunConfig
from medpeft_core.runs import Run, RunStore
from medpeft_core.worker import dispatch
from medpeft_core.worker.processes import kill_tree
from medpeft_core.worker.supervisor import Supervisor

TRAIN = ["train", "--dataset", "phantom", "--backbone", "test_vit", "--image-size", "64", "--pool", "avg", *TINY]
WORKER = """
import sys, time
from pathlib import Path
from medpeft_core.runs import Run
from medpeft_core.worker.main import run_guarded
def train(run, control):
    while not control.should_stop():
        time.sleep(0.02)
    return "stopped"
sys.exit(run_guarded(Run(Path(sys.argv[1])), train))
"""
SUPERVISE = """
import subprocess, sys
from medpeft_core.worker import dispatch
from medpeft_core.cli import main
def start(run):
    none = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-c", sys.argv[1], str(run.folder)], stdout=none, stderr=none,
                            start_new_session=True)
dispatch.start_worker = start
sys.exit(main(["supervise", "--json"]))
"""


def test_supervise_trains_a_queued_run_and_ends(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--method", "linear", "--epochs", "1", "--queue", "--json"]) == 0
    run = Run(Path(json.loads(capsys.readouterr().out)["run_dir"]))
    done = run_command(["supervise", "--until-empty", "--json"], home)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == {"started": [run.run_id], "ended": [{"run_id": run.run_id, "status": "finished"}]}
    lines = done.stderr.splitlines()
    assert f"Run {run.run_id} started on " in lines[1]
    assert lines[2] == f"Run {run.run_id} finished."
    assert run.status == "finished"
    assert run.metrics() is not None


def test_supervise_of_an_empty_home_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["supervise", "--until-empty", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"started": [], "ended": []}


def test_supervise_refuses_when_another_one_leads(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = Supervisor(RunStore(home))
    app.start()
    assert app.role == "leader"
    assert main(["supervise"]) == 2
    assert "are taken already, by an open app or by another `supervise`" in capsys.readouterr().err
    app.stop()


def test_supervise_refuses_a_home_that_cannot_be_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("a file")
    assert main(["supervise"]) == 2
    assert "cannot be taken" in capsys.readouterr().err


def test_supervise_tells_of_runs_that_went_wrong(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(home)
    run = store.create(RunConfig(), provenance={}, device="cpu")
    store.index.enqueue(run.run_id, "cpu")

    def crash(run: Run) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])

    monkeypatch.setattr(dispatch, "start_worker", crash)
    assert main(["supervise", "--until-empty"]) == 0
    shown = capsys.readouterr()
    assert f"Run {run.run_id} interrupted. The training process ended before it began (exit code 7)" in shown.err
    assert shown.out == ""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_supervise_ctrl_c_leaves_the_run_at_work(home: Path) -> None:
    store = RunStore(home)
    run = store.create(RunConfig(), provenance={}, device="cpu")
    store.index.enqueue(run.run_id, "cpu")
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, WORKER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while run.status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert json.loads(out) == {"started": [run.run_id], "ended": []}
    assert "Runs at work go on" in err
    assert store.settle(run).status == "running"
    state = run.state()
    assert state.pid is not None
    assert state.pid_started is not None
    kill_tree(state.pid, state.pid_started, term_wait_s=5)
