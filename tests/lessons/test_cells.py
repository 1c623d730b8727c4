"""Which runs are those of the cells, how far they are, and how they are stopped and continued."""

from dataclasses import replace

import pytest
from cell_runs import finish_cell, make_protocol

from medpeft_core.lessons.cells import find_runs, list_failures, list_missing, look, requeue, stop
from medpeft_core.lessons.protocol import Cell
from medpeft_core.runs import RunStore


@pytest.fixture
def protocol(tmp_path):
    return make_protocol(tmp_path)


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path / "home")
    store.index.queued()
    return store


def enqueue(store, protocol, cell, device="cpu:0"):
    run = store.create(protocol.build_config(cell), provenance={}, device=device)
    store.index.enqueue(run.run_id, device)
    return run


def test_cells_are_found_by_their_config_whoever_made_the_run(store, protocol) -> None:
    cells = protocol.list_cells(is_short=True)
    assert look(store, protocol, cells).num_done == 0
    run = finish_cell(store, protocol, cells[0])
    standing = look(store, protocol, cells)
    assert (standing.num_done, standing.num_all, standing.share) == (1, 4, 0.25)
    assert standing.finished_ids() == (run.run_id,)
    assert list(find_runs(store, standing)) == [cells[0].key]
    assert standing.cells[0].test_auroc == run.metrics()["test_auroc"]
    missing = list_missing(protocol, standing)
    assert missing == [protocol.build_config(cell) for cell in cells[1:]]


def test_run_with_another_setting_is_no_run_of_a_cell(store, protocol) -> None:
    cell = protocol.list_cells(is_short=True)[0]
    config = protocol.build_config(cell)
    other = replace(config, optim=replace(config.optim, lr=0.5))
    run = store.create(other, provenance={}, device="cpu")
    run.write_state(status="finished")
    assert look(store, protocol, [cell]).cells[0].run_id is None


def test_what_a_check_fills_in_makes_no_difference(store, protocol) -> None:
    cell = protocol.list_cells(is_short=True)[0]
    config = protocol.build_config(cell)
    filled = replace(config, backbone=replace(config.backbone, weights_sha256="ab" * 32, image_size=96, pool="avg"))
    run = store.create(filled, provenance={}, device="cpu:0")
    assert look(store, protocol, [cell]).cells[0].run_id == run.run_id


def test_development_runs_are_not_taken_for_reported_ones(store, protocol) -> None:
    cell = Cell("lora", 0.1, 60, 0.003)
    store.create(protocol.build_config(cell, role="development"), provenance={}, device="cpu")
    assert look(store, protocol, [cell]).cells[0].run_id is None
    assert look(store, protocol, [cell], role="development").cells[0].run_id is not None


def test_finished_run_counts_before_a_newer_one_that_waits(store, protocol) -> None:
    cell = protocol.list_cells(is_short=True)[0]
    done = finish_cell(store, protocol, cell)
    enqueue(store, protocol, cell)
    assert look(store, protocol, [cell]).cells[0].run_id == done.run_id


def test_failed_run_is_made_anew_and_a_stopped_one_goes_on(store, protocol) -> None:
    cells = protocol.list_cells(is_short=True)[:2]
    failed, stopped = (enqueue(store, protocol, cell) for cell in cells)
    for run, status in ((failed, "failed"), (stopped, "stopped")):
        store.end_run(run, status)
    standing = look(store, protocol, cells)
    assert list_missing(protocol, standing) == [protocol.build_config(cells[0])]
    assert [run.run_id for run in list_failures(store, protocol, standing)] == [failed.run_id]
    assert requeue(store, standing) == 1
    assert stopped.status == "queued"
    assert [entry.run_id for entry in store.index.queued()] == [stopped.run_id]


def test_stop_empties_the_queue_of_the_cells_and_leaves_other_runs(store, protocol) -> None:
    cells = protocol.list_cells(is_short=True)
    runs = [enqueue(store, protocol, cell) for cell in cells]
    config = protocol.build_config(cells[0])
    other = store.create(replace(config, train=replace(config.train, seed=99)), provenance={}, device="cpu")
    store.index.enqueue(other.run_id, "cpu")
    standing = look(store, protocol, cells)
    assert standing.is_working
    assert stop(store, standing) == 4
    assert {run.status for run in runs} == {"cancelled"}
    assert not look(store, protocol, cells).is_working
    assert [entry.run_id for entry in store.index.queued()] == [other.run_id]


def test_time_that_is_left_comes_from_what_is_done(store, protocol, monkeypatch) -> None:
    monkeypatch.setattr("medpeft_core.lessons.cells.count_lanes", lambda threads: 2)
    cells = protocol.list_cells(is_short=True)
    assert look(store, protocol, cells).estimate_s() is None
    for cell in cells[:2]:
        finish_cell(store, protocol, cell)  # 10 s each: ten seconds for each unit of the seed
    standing = look(store, protocol, cells)
    assert standing.median_times_s() == {("lora", 0.1): 10.0, ("full", 0.1): 10.0}
    assert standing.estimate_s() == pytest.approx((10 + 10) / 2)
    assert look(store, protocol, cells[:3]).estimate_s({("lora", 0.1): 500.0}) == pytest.approx(5), "measured wins"
