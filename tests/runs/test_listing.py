"""list_summaries: what each line holds, and that a line is made anew when, and only when, its run has changed."""

import os
import random
import time

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import RunStore, lines, listing
from medpeft_core.runs.lines import thin_curve
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.tail import HistoryTail

PROVENANCE = {"is_synthetic": True, "num_train_images": 100, "num_params": 5000, "num_trainable_params": 70}


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


def create(store, **state):
    config = RunConfig.from_dict({"method": {"knobs": {"rank": 4}}, "backbone": {"image_size": 112}})
    run = store.create(config, provenance=PROVENANCE, device="cpu")
    run.write_state(**state)
    return run


def evaluate(run, *aurocs, first=1):
    for number, auroc in enumerate(aurocs, first):
        run.emit({"type": "step", "step": 10 * number, "loss": 0.5})
        run.emit({"type": "eval", "split": "val", "step": 10 * number, "val_auroc": auroc})


def line_of(store, run):
    return next(line for line in list_summaries(store) if line["run_id"] == run.run_id)


def touch_state(run):
    """What a worker does twice a second."""
    run.write_state(phase="training")


def test_list_summaries_holds_what_pages_show(store):
    run = create(store, status="running", step=5, num_steps=50, eta_s=12.5, epoch=1)
    evaluate(run, 0.6, None, 0.7)
    line = line_of(store, run)
    assert abs(line["created_at"] - time.time()) < 60
    expected = {
        "status": "running", "step": 5, "num_steps": 50, "eta_s": 12.5, "epoch": 1, "epochs": 10, "device": "cpu",
        "dataset": "phantom", "data_is_synthetic": True, "fraction": 1.0, "num_train_images": 100,
        "backbone": "resnet18", "weights": "random", "image_size": 112, "method": "lora", "knobs": {"rank": 4},
        "num_params": 5000, "num_trainable_params": 70, "seed": 0, "curve": [0.6, None, 0.7], "tags": [], "metrics": {},
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected


def test_list_summaries_takes_sizes_from_the_finished_training(store):
    run = create(store)
    run.save_metrics({"test_auroc": 0.8, "training": {"num_trainable_params": 71}})
    run.write_state(status="finished")
    line = line_of(store, run)
    assert (line["num_trainable_params"], line["num_params"], line["metrics"]) == (71, 5000, {"test_auroc": 0.8})


def test_list_summaries_of_a_run_without_provenance_says_what_is_missing(store):
    run = create(store)
    evaluate(run, 0.6)
    run.provenance_path.unlink()
    line = line_of(store, run)
    assert (line["status"], line["curve"]) == (None, [])
    assert "provenance.json" in line["error"]
    assert abs(line["created_at"] - time.time()) < 120, "from its name"


def test_list_summaries_are_newest_first_as_the_store_lists_them(store):
    runs = [create(store) for _ in range(4)]
    for run, age_s in zip(runs, (30, 10, 40, 20), strict=True):
        written = time.time() - age_s
        os.utime(run.provenance_path, (written, written))
    (store.runs_dir / "my notes").mkdir()
    (store.runs_dir / "20261121-2154-lora-r8-vit_tiny-9999").mkdir()
    (store.runs_dir / "20261121-2154-lora-r8-vit_tiny-8888").write_text("a file")
    listed = [line["run_id"] for line in list_summaries(store)]
    assert listed == [run.run_id for run in store.list_runs()]
    assert sorted(listed) == sorted(run.run_id for run in runs)


def test_list_summaries_of_an_empty_home(store):
    assert list_summaries(store) == []


def test_created_at_of_a_copied_run_comes_from_its_name(store):
    run = create(store)
    named = line_of(store, run)["created_at"]
    os.utime(run.provenance_path, (named + 1e6, named + 1e6))
    assert 0 <= named - line_of(store, run)["created_at"] < 120


def test_curve_follows_a_running_run_and_reads_only_what_is_new(store, monkeypatch):
    run = create(store, status="running")
    evaluate(run, 0.6, 0.65)
    starts = []

    class SeenTail(HistoryTail):
        def __init__(self, path, *, position, **options):
            starts.append(position.offset)
            super().__init__(path, position=position, **options)

    monkeypatch.setattr(lines, "HistoryTail", SeenTail)
    assert line_of(store, run)["curve"] == [0.6, 0.65]
    size = run.events_path.stat().st_size
    touch_state(run)
    assert line_of(store, run)["curve"] == [0.6, 0.65]
    evaluate(run, 0.7, first=3)
    assert line_of(store, run)["curve"] == [0.6, 0.65, 0.7], "also before the worker writes its state"
    assert starts == [0, size], "a state that changed alone lets no event be read"


def test_curve_equals_the_history_of_a_run_that_is_killed_and_resumed(store):
    rng = random.Random(7)
    run, step = create(store, status="running"), 0
    for number in range(60):
        kind = rng.choice(["eval", "eval", "resumed", "status"])
        if kind == "eval":
            step += 10
            run.emit({"type": "eval", "split": "val", "step": step, "val_auroc": rng.random(), "n": number})
        elif kind == "resumed":
            step = max(0, step - rng.choice([0, 10, 20]))
            run.emit({"type": "status", "status": "resumed", "step": step})
        else:
            run.write_state(status=rng.choice(["running", "stopped", "interrupted", "failed"]), step=number)
        expected = [event["val_auroc"] for event in run.history() if event["type"] == "eval"]
        assert line_of(store, run)["curve"] == thin_curve(expected, 30)


def test_curve_of_a_run_that_is_damaged_and_mended(store):
    run = create(store, status="running")
    evaluate(run, 0.6)
    good = run.state_path.read_text()
    line_of(store, run)
    run.state_path.write_text("{")
    assert line_of(store, run)["curve"] == []
    run.state_path.write_text(good)
    assert line_of(store, run)["curve"] == [0.6]


def test_a_finished_runs_evaluations_are_not_kept_in_the_index(store):
    """Every listing parses what is kept; with hundreds of runs of many epochs that would take long."""
    run = create(store, status="running")
    evaluate(run, *[0.5] * 200)
    line_of(store, run)
    assert len(store.index.listing()[run.run_id][1]["events"]) == 200
    run.write_state(status="finished")
    assert len(line_of(store, run)["curve"]) == 30
    assert store.index.listing()[run.run_id][1]["events"] == []
    run.save_meta({"tags": ["a"]})
    line = line_of(store, run)
    assert (line["tags"], len(line["curve"])) == (["a"], 30)


def test_list_summaries_writes_all_changes_at_once_and_nothing_when_nothing_changed(store, monkeypatch):
    runs = [create(store) for _ in range(3)]
    saved = []
    save = store.index.save_listings
    monkeypatch.setattr(store.index, "save_listings", lambda rows: saved.append(len(rows)) or save(rows))
    list_summaries(store)
    list_summaries(store)
    runs[1].write_state(status="finished")
    list_summaries(store)
    assert saved == [3, 1]


def test_list_summaries_makes_lines_of_another_version_anew(store, monkeypatch):
    run = create(store)
    store.index.save_listing(run.run_id, "1-2-3-4", {"run_id": "old"})
    assert line_of(store, run)["status"] == "queued"
    monkeypatch.setattr(listing, "LINE_VERSION", 99)
    assert line_of(store, run)["status"] == "queued"
    assert store.index.listing()[run.run_id][0].startswith("99 ")


def test_list_summaries_works_without_the_index(store, monkeypatch):
    run = create(store)
    evaluate(run, 0.6)

    def full(*_):
        raise RunError("The lab's index cannot be used: database or disk is full.")

    monkeypatch.setattr(store.index._database, "read", full)
    monkeypatch.setattr(store.index._database, "change", full)
    assert line_of(store, run)["curve"] == [0.6]


def test_thin_curve_keeps_the_ends_and_the_order():
    values = [float(number) for number in range(1000)]
    thinned = thin_curve(values, 30)
    assert (len(thinned), thinned[0], thinned[-1]) == (30, 0.0, 999.0)
    assert thinned == sorted(set(thinned))
    assert thin_curve([0.5, None], 30) == [0.5, None]
    assert thin_curve([], 30) == []
