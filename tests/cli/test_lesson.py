"""`lesson shortcut` as a user runs it, on a small set with a real worker: trained, told, stored; stopped, continued."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medpeft_core.cli import main
from medpeft_core.commands import lesson as lesson_module
from medpeft_core.config import RunConfig
from medpeft_core.lessons import shortcut
from medpeft_core.lessons.shortcut_stored import load_stored
from medpeft_core.runs.store import RunStore


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """The lesson on a few patients, for one epoch."""
    config = shortcut.build_config()
    config = replace(
        config,
        data=replace(config.data, fraction=1.0, options={"num_patients": 50, "size": 64}, cache_size=64),
        backbone=replace(config.backbone, name="test_vit", weights="random", image_size=32),
        train=replace(config.train, epochs=1),
        evaluation=replace(config.evaluation, bootstrap_samples=100),
    )
    for module in (shortcut, lesson_module):
        monkeypatch.setattr(module, "build_config", lambda: config)
    return config


def test_lesson_trains_tells_and_stores(
    small: RunConfig, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "stored"
    assert main(["lesson", "shortcut", "--store", str(stored), "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    [run] = RunStore(home).list_runs()
    assert result["run_id"] == run.run_id
    assert result["words"] in told.err.replace("\n", " ")
    assert "Research and teaching only, not for clinical use" in told.err
    loaded = load_stored(stored)
    assert loaded is not None
    assert loaded.result["words"] == result["words"]
    metrics = run.metrics()
    assert metrics is not None
    for row in result["aurocs"]:
        assert row["test"] == pytest.approx(metrics["test"]["per_class"][row["label"]]["auroc"])

    assert main(["lesson", "shortcut"]) == 0, "nothing is trained twice"
    told = capsys.readouterr()
    assert "--again trains a new one" in told.err
    assert "marker painted over" in told.out
    assert [item.run_id for item in RunStore(home).list_runs()] == [run.run_id]


def test_lesson_goes_on_with_a_run_that_was_stopped(
    small: RunConfig, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lesson_module, "work_on", lambda store, run, **_: 130)  # Ctrl-C before the worker began
        assert main(["lesson", "shortcut"]) == 130
    store = RunStore(home)
    [run] = store.list_runs()
    store.request_stop(run.run_id)
    worked: list[str] = []

    def work_on(store: RunStore, run: object, **_: object) -> int:
        worked.append(run.run_id)  # type: ignore[attr-defined]
        return 130

    monkeypatch.setattr(lesson_module, "work_on", work_on)
    assert main(["lesson", "shortcut"]) == 130
    assert worked == [run.run_id]
    assert f"Going on with the run {run.run_id}" in capsys.readouterr().err
    assert main(["lesson", "shortcut", "--again"]) == 130
    assert len(store.list_runs()) == 2


def test_lesson_refuses_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lesson", "labels"]) == 2
    assert "There is no lesson 'labels'. Choose: shortcut." in capsys.readouterr().err
