"""What a terminal shows of a run at work, and what Ctrl-C does to it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medpeft_core.commands import follow as command
from medpeft_core.commands.train import WORDS
from medpeft_core.config import RunConfig
from medpeft_core.runs import Run, RunStore


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return RunStore(tmp_path).create(RunConfig(), provenance={}, device="cpu")


def test_follow_view_tells_phases_that_have_no_events(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was shown while a large test split was evaluated, for minutes."""
    monkeypatch.setattr(command, "PLAIN_EVERY_S", 0.0)
    run.write_state(phase="evaluating test, 640 of 22433 images", eta_s=200.0)
    with command.FollowView(run, WORDS) as view:
        view([])
    assert capsys.readouterr().err == "evaluating test, 640 of 22433 images, about 3 min left\n"


def test_second_ctrl_c_kills_the_worker_and_not_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the worker has begun, the state names the command's own process, which then killed itself."""
    workers = []

    def start(_: Run) -> subprocess.Popen[bytes]:
        workers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return workers[0]

    def press_ctrl_c(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "start_worker", start)
    monkeypatch.setattr(command, "follow_run", press_ctrl_c)
    monkeypatch.setattr(command, "stop_worker", press_ctrl_c)
    assert command.work_on(RunStore(run.home), run, words=WORDS, as_json=False) == 1
    assert workers[0].poll() is not None
    assert run.status == "interrupted"
    assert RunStore(run.home).index.device_holder("cpu") is None
