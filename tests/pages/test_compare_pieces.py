"""What the Compare page is made of: caveats, figures in rows, names, curves that grow, the filter, addresses."""

import pandas as pd
import pytest

from medpeft_core.reports.tables import MACRO, build_metric_rows
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.store import RunStore
from pages.widgets.compare_charts import read_curve_events
from pages.widgets.compare_filter import filter_runs
from pages.widgets.compare_metrics import build_metric_frame
from pages.widgets.compare_runs import find_caveats, find_notes, load_compared
from pages.widgets.compare_selection import MAX_NAMED, read_ids


def load(home, *runs):
    store = RunStore(home)
    return load_compared(store, list_summaries(store), [run.run_id for run in runs])[0]


def test_compare_caveats_are_silent_for_runs_on_the_same_data(home, make_run):
    assert find_caveats(load(home, make_run(home), make_run(home, fraction=0.1))) == []


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"provenance": {"data_fingerprint": "00"}}, "different images, patients or splits"),
        ({"labels": ("Effusion", "Nodule")}, "different labels"),
        ({"settings": {"data": {"dataset": "phantom_shortcut"}}}, "different data sets"),
        ({"provenance": {"is_synthetic": False}}, "some synthetic ones"),
    ],
)
def test_compare_caveats_tell_what_runs_do_not_share(home, make_run, other, sentence):
    caveats = find_caveats(load(home, make_run(home), make_run(home, **other)))
    assert len(caveats) == 1
    assert sentence in caveats[0]


def test_compare_notes_tell_unknown_patients(home, make_run):
    run = make_run(home)
    metrics = run.metrics()
    metrics["training"]["num_train_patients"] = None
    run.save_metrics(metrics)
    assert any("could not be checked" in note for note in find_notes(load(home, run)))


def test_compare_metric_rows_hold_every_figure_with_its_interval(home, make_run):
    (item,) = load(home, make_run(home, labels=("Effusion", "Never")))
    rows = build_metric_rows([(item.run.run_id, item.name, item.metrics)]).set_index(["metric", "label"])
    effusion = item.test["per_class"]["Effusion"]
    assert rows.loc[("auroc", "Effusion"), ["value", "low", "high"]].tolist() == [
        effusion["auroc"], effusion["low"], effusion["high"],
    ]  # fmt: skip
    assert rows.loc[("auprc", "Effusion"), "low"] == effusion["auprc_low"]
    assert rows.loc[("auroc", MACRO), "low"] == item.test["macro"]["auroc_low"]
    assert rows.loc[("auroc", "Never"), "reason"] == "no positive image in this split"
    assert pd.isna(rows.loc[("auroc", "Never"), "value"])
    assert rows.loc[("auroc", "Never"), "num_positive"] == 0


def test_compare_metric_frame_says_when_a_label_belongs_to_other_runs(home, make_run):
    runs = load(home, make_run(home, labels=("Effusion",)), make_run(home, labels=("Nodule",)))
    frame = build_metric_frame(runs, "auprc").set_index("Label")
    assert frame.loc["Nodule", runs[0].name] == "not a label"
    assert frame.loc["Effusion", runs[0].name].startswith(f"{runs[0].test['per_class']['Effusion']['auprc']:.3f} (")


def test_compare_names_differ(home, make_run):
    assert len({item.name for item in load(home, *(make_run(home) for _ in range(3)))}) == 3


def test_compare_curve_events_follow_a_growing_log(home, make_run):
    run = make_run(home, status="running", epochs_done=2)
    assert [event["type"] for event in read_curve_events(run)] == ["eval", "epoch"] * 2
    run.emit({"type": "eval", "epoch": 3, "step": 60, "split": "val", "val_auroc": 0.9})
    assert read_curve_events(run)[-1]["val_auroc"] == 0.9


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["a", "b", "c"]),
        ({"text": "LORA r8"}, ["a"]),
        ({"text": "paper"}, ["b"]),
        ({"text": "phantom full"}, ["b"]),
        ({"statuses": ["finished", None]}, ["a", "c"]),
        ({"datasets": ["nih"]}, []),
        ({"methods": ["full"], "statuses": ["failed"]}, ["b"]),
    ],
)
def test_filter_runs_keeps_what_has_every_word_and_choice(filters, expected):
    summaries = [
        {"run_id": "a", "status": "finished", "dataset": "phantom", "method": "lora", "knobs": {"rank": 8}},
        {"run_id": "b", "status": "failed", "dataset": "phantom", "method": "full", "knobs": {}, "tags": ["Paper"]},
        {"run_id": "c", "status": None, "error": "config.json is damaged"},
    ]
    assert [item["run_id"] for item in filter_runs(summaries, **filters)] == expected


def test_read_ids_takes_each_name_once_and_not_too_many():
    assert read_ids("") == []
    assert read_ids("b,,a,b") == ["b", "a"]
    assert len(read_ids(",".join(map(str, range(1000))))) == MAX_NAMED
