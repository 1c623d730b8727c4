"""The Compare page: table, filter, selection in the address, and the comparison of what is selected."""

import json
import re

import pytest

from medpeft_core.reports.tables import MACRO
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.store import RunStore
from pages.widgets.compare_runs import load_compared
from pages.widgets.runs_table import hash_ids


def open_page(app, *run_ids):
    app.run()
    if run_ids:
        app.query_params["runs"] = ",".join(run_ids)
    app.switch_page("pages/compare.py").run()
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    """All sentences of the page."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def find_table(app, column):
    """The table that has a column."""
    return next(item.value for item in app.dataframe if column in item.value.columns)


def selected_ids(app):
    value = app.query_params.get("runs", "")  # a list once the page has written it
    return [part for part in (value[0] if isinstance(value, list) else value).split(",") if part]


def read_curve_names(app):
    """Which curves the chart draws."""
    lines = json.loads(app.get("vega_lite_chart")[0].proto.spec)["layer"][0]
    return lines["encoding"]["color"]["scale"]["domain"]


def find_charts(app):
    """What each chart says to screen readers, up to the first full stop or colon."""
    return [re.split(r"[.,:]", item.proto.alt)[0] for item in app.get("vega_lite_chart")]


def load(home, *runs):
    store = RunStore(home)
    return load_compared(store, list_summaries(store), [run.run_id for run in runs])[0]


def test_compare_page_of_an_empty_lab_says_how_to_begin(app):
    open_page(app)
    assert "No runs yet" in read_words(app)
    assert [item.proto.label for item in app.main.get("page_link")] == ["Start the demo", "Train a model"]
    assert not app.dataframe


def test_compare_page_of_one_run_asks_for_a_second(app, home, make_run):
    run = make_run(home)
    open_page(app)
    assert "One run so far" in read_words(app)
    links = {item.proto.label: item.proto.query_string for item in app.main.get("page_link")}
    assert links["Copy settings"] == f"copy={run.run_id}"
    assert len(app.dataframe) == 1


def test_compare_page_without_a_selection_says_what_to_tick(app, home, make_run):
    make_run(home)
    make_run(home, method="full")
    open_page(app)
    assert "Tick runs in the first column" in read_words(app)
    assert not app.get("vega_lite_chart")


def test_compare_page_shows_the_figures_of_a_single_run(app, home, make_run):
    run = make_run(home)
    make_run(home, method="full")
    open_page(app, run.run_id)
    assert find_charts(app) == [
        "Val AUROC over the epochs", "Test AUROC by label", "ROC curves on test", "Precision-recall curves on test",
    ]  # fmt: skip
    assert "What differs" not in read_words(app)
    assert "Tick runs" not in read_words(app)


def test_compare_page_of_two_runs_shows_what_differs_curves_and_figures(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full", fraction=0.5)]
    open_page(app, *(run.run_id for run in runs))
    names = [item.name for item in load(home, *runs)]
    settings = find_table(app, "Setting").set_index("Setting")
    assert settings.loc["method.name", names].tolist() == ["lora", "full"]
    assert settings.loc["data.fraction", names].tolist() == ["1", "0.5"]
    assert settings.loc["method.rank", names].tolist() == ["8", "–"]
    assert "train.epochs" not in settings.index
    assert read_curve_names(app) == names
    assert find_charts(app)[-2:] == [
        "Test AUROC and number of trained parameters",
        "Test AUROC and wall time of training and evaluation",
    ]
    assert "no test of whether runs differ" in read_words(app)
    assert "not for clinical use" in read_words(app)
    assert "Synthetic images" in read_words(app)
    assert [item.value for item in app.warning] == [
        "These runs differ in 1 setting besides the method \\(label fraction\\), so this is a difference between two "
        "runs, not between two methods\\."
    ]


def test_compare_page_shows_intervals_and_why_a_figure_is_missing(app, home, make_run):
    runs = [make_run(home, labels=("Effusion", "Never")), make_run(home, method="full", labels=("Effusion", "Never"))]
    open_page(app, *(run.run_id for run in runs))
    first = load(home, *runs)[0]
    figures = find_table(app, "Label").set_index("Label")[first.name]
    effusion = first.test["per_class"]["Effusion"]
    assert figures["Effusion"] == f"{effusion['auroc']:.3f} ({effusion['low']:.3f} to {effusion['high']:.3f})"
    assert figures["Never"] == "n/a: no positive image in this split"
    assert figures.index[0] == MACRO


def test_compare_page_takes_a_running_run_with_its_curve_only(app, home, make_run):
    finished, running = make_run(home), make_run(home, status="running", epochs_done=2, method="full")
    open_page(app, finished.run_id, running.run_id)
    assert "1 of these runs is not finished" in read_words(app)
    by_name = {item.run.run_id: item.name for item in load(home, finished, running)}
    assert by_name[running.run_id] in find_table(app, "Setting").columns
    assert by_name[running.run_id] not in find_table(app, "Label").columns
    assert read_curve_names(app) == [by_name[finished.run_id], by_name[running.run_id]]


@pytest.mark.parametrize("status", ["queued", "failed", "stopped", "interrupted", "cancelled"])
def test_compare_page_takes_runs_of_every_status(app, home, make_run, status):
    other = make_run(home, status=status, epochs_done=0 if status == "queued" else 1)
    open_page(app, make_run(home).run_id, other.run_id)
    assert "1 of these runs is not finished" in read_words(app)
    assert selected_ids(app)[1] == other.run_id


def test_compare_page_leaves_out_a_damaged_run_and_says_so(app, home, make_run):
    whole, damaged = make_run(home), make_run(home)
    damaged.config_path.write_text("{")
    open_page(app, whole.run_id, damaged.run_id)
    assert f"The run {damaged.run_id} is damaged and left out" in read_words(app)
    assert find_charts(app)[0] == "Val AUROC over the epochs"


def test_compare_page_says_when_the_address_names_a_run_that_is_gone(app, home, make_run):
    run = make_run(home)
    open_page(app, run.run_id, "20260101-0000-lora-r8-vit_tiny-0000", "../../etc")
    assert "The address names 2 runs that are not in this lab" in read_words(app)
    assert selected_ids(app) == [run.run_id]
    assert "etc" not in read_words(app)


def test_compare_page_writes_a_ticked_row_into_the_address(app, home, make_run):
    make_run(home)
    make_run(home, method="full")
    open_page(app)
    listed = find_table(app, "run_id")["run_id"].tolist()
    app.session_state[f"compare_runs_{hash_ids(listed)}"] = {"selection": {"rows": [1, 0], "columns": [], "cells": []}}
    app.run()
    assert sorted(selected_ids(app)) == sorted(listed)
    assert "What differs" in read_words(app)


def test_compare_page_keeps_the_selection_while_the_reader_is_elsewhere(app, home, make_run):
    run = make_run(home)
    make_run(home, method="full")
    open_page(app, run.run_id)
    app.query_params.clear()
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/compare.py").run()
    assert selected_ids(app) == [run.run_id]


def test_compare_page_keeps_a_selected_run_that_the_filter_hides(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full")]
    open_page(app, *(run.run_id for run in runs))
    app.text_input(key="compare_search").set_value("full").run()
    assert find_table(app, "run_id")["run_id"].tolist() == [runs[1].run_id]
    assert selected_ids(app) == [run.run_id for run in runs]
    assert "The filter hides 1 run that is selected" in read_words(app)
    app.text_input(key="compare_search").set_value("nothing has this").run()
    assert "No run passes the filter" in read_words(app)
    assert selected_ids(app) == [run.run_id for run in runs]


def test_compare_page_compares_as_many_runs_as_colours_tell_apart(app, home, make_runs):
    make_runs(home, 14)
    summaries = list_summaries(RunStore(home))
    open_page(app, *(item["run_id"] for item in summaries))
    assert "14 runs are selected. The first 12 are compared below" in read_words(app)
    num_finished = sum(item["status"] == "finished" for item in summaries)
    assert f"A line for each of {num_finished} runs" in read_words(app)
    assert len(app.get("plotly_chart")) == 1


def test_compare_page_opens_with_200_runs(app, home, make_runs):
    make_runs(home, 200)
    open_page(app)
    assert len(find_table(app, "run_id")) == 200


def test_compare_tables_and_charts_have_words_for_screen_readers(app, home, make_run):
    open_page(app, make_run(home).run_id, make_run(home, method="full").run_id)
    elements = [*app.dataframe, *app.get("vega_lite_chart")]
    assert len(elements) == 11
    assert all(item.proto.alt for item in elements)
