"""The maps that the worker draws at the end of a run decide nothing about the run."""

import sys
from pathlib import Path

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import DataError
from medpeft_core.explain import first_maps
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training import session
from medpeft_core.worker.control import WorkerControl
from medpeft_core.worker.main import _train


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return RunStore(tmp_path).create(RunConfig(), provenance={})


@pytest.fixture
def control(run: Run, tmp_path: Path) -> WorkerControl:
    return WorkerControl(run, RunStore(tmp_path).index)


@pytest.mark.parametrize(
    "error",
    [
        DataError("The data are gone."),
        OSError("disk full"),
        RuntimeError("out of memory"),
        MemoryError("no room"),
        ValueError("a bug"),
    ],
)
def test_worker_finishes_a_run_whose_first_maps_fail(
    run: Run, control: WorkerControl, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(session, "train_run", lambda run, control: "finished")
    monkeypatch.setattr(first_maps, "draw_first_maps", fail)
    assert _train(run, control) == "finished"
    assert run.events()[-1]["text"] == f"The first heat maps were not drawn: {error}"


def test_worker_finishes_a_run_where_the_package_for_maps_is_missing(
    run: Run, control: WorkerControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU server without grad-cam a run that had been trained and evaluated was marked failed."""
    monkeypatch.setattr(session, "train_run", lambda run, control: "finished")
    monkeypatch.setitem(sys.modules, "medpeft_core.explain.first_maps", None)
    assert _train(run, control) == "finished"
    assert run.events()[-1]["text"].startswith("The first heat maps were not drawn: ")


def test_worker_finishes_a_run_on_a_disk_too_full_to_say_why(
    run: Run, control: WorkerControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(session, "train_run", lambda run, control: "finished")
    monkeypatch.setattr(control, "set_progress", refuse)
    monkeypatch.setattr(control, "emit", refuse)
    assert _train(run, control) == "finished"


def test_worker_draws_no_maps_of_a_stopped_run(
    run: Run, control: WorkerControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "train_run", lambda run, control: "stopped")
    monkeypatch.setattr(first_maps, "draw_first_maps", lambda *_, **__: pytest.fail("must not draw"))
    assert _train(run, control) == "stopped"
