"""The run of the second lesson: which of a home's runs it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from shortcut_answers import make_lesson_run
from stored_runs import make_run

from medpeft_core.config import RunConfig
from medpeft_core.lessons.shortcut import build_config, build_plain_config, build_tube_config, find_run, list_runs
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.store import RunStore


def test_list_runs_finds_the_lessons_runs_alone(home: Path) -> None:
    make_run(home, method="full")
    other = make_lesson_run(home, seed=5)
    own = make_lesson_run(home)
    assert {run.run_id for run in RunStore(home).list_runs()} > {own.run_id, other.run_id}
    assert [run.run_id for run in list_runs(RunStore(home))] == [own.run_id]


def test_list_runs_leaves_out_other_options(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lesson_run(home)
    config = build_config()
    changed = replace(config, data=replace(config.data, options={"shortcut": "tube"}))
    monkeypatch.setattr("medpeft_core.lessons.shortcut.build_config", lambda: changed)
    assert list_runs(RunStore(home)) == []


def test_list_runs_passes_over_a_damaged_run(home: Path) -> None:
    make_lesson_run(home).config_path.write_text("{}")
    own = make_lesson_run(home)
    assert [run.run_id for run in list_runs(RunStore(home))] == [own.run_id]


def test_find_run_prefers_a_finished_one(home: Path) -> None:
    assert find_run([]) is None
    stopped = make_lesson_run(home, status="stopped", epochs_done=1)
    assert find_run([stopped]) is stopped
    finished = make_lesson_run(home)
    assert find_run([stopped, finished]) is finished


@pytest.mark.parametrize("build", [build_config, build_tube_config, build_plain_config])
def test_configs_can_be_trained(build) -> None:
    config = resolve_config(build())
    assert RunConfig.from_dict(config.to_dict()) == config
    assert (config.data.dataset == "phantom") == (build is build_plain_config)
    wanted = {build_config: "marker", build_tube_config: "tube", build_plain_config: None}[build]
    assert config.data.options.get("shortcut") == wanted
