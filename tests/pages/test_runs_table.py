"""The table of runs: what a line tells, also of runs that are at work or damaged."""

import math

import pytest

from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.states import STATUSES
from medpeft_core.runs.store import RunStore
from pages.widgets.runs_table import ALL_COLUMNS, DAMAGED_MARK, STATUS_MARKS, build_runs_frame, hash_ids


def build(home):
    return build_runs_frame(list_summaries(RunStore(home))).set_index("run_id")


def test_runs_frame_of_an_empty_lab_has_all_columns():
    frame = build_runs_frame([])
    assert list(frame.columns) == list(ALL_COLUMNS)
    assert len(frame) == 0


def test_runs_frame_tells_what_a_finished_run_found(home, make_run):
    run = make_run(home, epochs_done=3, fraction=0.25, seed=2, meta={"tags": ["demo"]})
    line, metrics = build(home).loc[run.run_id], run.metrics()
    assert line["status"] == STATUS_MARKS["finished"]
    assert line["test_auroc"] == metrics["test_auroc"]
    assert line["interval"] == f"{metrics['test_auroc_low']:.3f} to {metrics['test_auroc_high']:.3f}"
    assert line["val_auroc"] == metrics["val_auroc"]
    assert (line["method"], line["rank"], line["trainable"]) == ("lora", 8, 75_000)
    assert (line["fraction"], line["seed"], line["tags"]) == (0.25, 2, ["demo"])
    assert line["took_min"] == pytest.approx(metrics["wall_time_s"] / 60)
    assert len(line["curve"]) == 3
    assert line["started"].timestamp() == pytest.approx(run.provenance_path.stat().st_mtime)
    assert math.isnan(line["progress"])


def test_runs_frame_tells_how_far_a_running_run_is(home, make_run):
    run = make_run(home, status="running", epochs_done=1, epochs=4)
    line = build(home).loc[run.run_id]
    assert line["status"] == STATUS_MARKS["running"]
    assert line["progress"] == 25.0
    assert line["val_auroc"] == line["curve"][-1]
    assert math.isnan(line["test_auroc"])
    assert line["interval"] == ""


def test_runs_frame_names_a_damaged_run(home, make_run):
    run = make_run(home)
    run.config_path.write_text("{")
    line = build(home).loc[run.run_id]
    assert line["status"] == DAMAGED_MARK
    assert line["method"] is None


def test_runs_frame_sorts_by_numbers(home, make_run):
    """As text, 11 million trained parameters came before 75 thousand."""
    for method in ("lora", "full"):
        make_run(home, method=method)
    frame = build(home)
    assert frame["trainable"].sort_values().tolist() == [75_000, 5_700_000]
    assert frame["test_auroc"].dtype == "float64"


def test_status_marks_cover_every_status_and_differ_without_colour():
    assert set(STATUS_MARKS) == set(STATUSES)
    assert len({mark[0] for mark in STATUS_MARKS.values()}) == len(STATUSES)
    assert all(name in mark and "," not in mark for name, mark in STATUS_MARKS.items())  # a comma would make two chips


def test_hash_ids_changes_with_the_order():
    assert hash_ids(["a", "b"]) != hash_ids(["b", "a"])
    assert hash_ids(["a", "b"]) == hash_ids(["a", "b"])
