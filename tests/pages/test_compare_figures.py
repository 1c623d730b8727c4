"""Compare: differences with their test, curves of a label, saved charts, tables for papers, cost."""

import json

import pandas as pd
import pyarrow as pa
import pytest

from medpeft_core.reports.pairs import compare_pairs
from medpeft_core.reports.sentences import describe_pair
from medpeft_core.reports.tables import MACRO
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.store import RunStore
from pages.widgets.compare_pairs import EVERY, build_pairs_frame
from pages.widgets.compare_rates import complete_points
from pages.widgets.compare_runs import load_compared, write_levels
from pages.widgets.compare_tables import (
    DIFFERENCES,
    EVERYTHING,
    FIGURES,
    FORMATS,
    RUNS,
    SETTINGS,
    build_numbers_csv,
    build_table,
    write_table,
)


def open_page(app, *runs):
    app.run()
    app.query_params["runs"] = ",".join(run.run_id for run in runs)
    app.switch_page("pages/compare.py").run()
    return check(app)


def check(app):
    assert not app.exception, app.exception[0].message
    return app


def load(home, *runs):
    store = RunStore(home)
    return load_compared(store, list_summaries(store), [run.run_id for run in runs])[0]


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind)).replace("\\", "")


def find_table(app, column):
    return next((item.value for item in app.dataframe if column in item.value.columns), None)


def find_chart(app, start):
    return next(json.loads(item.proto.spec) for item in app.get("vega_lite_chart") if item.proto.alt.startswith(start))


def test_differences_are_those_of_the_command_line(app, home, make_run):
    runs = [make_run(home, quality=0.4), make_run(home, method="full", quality=2.0)]
    open_page(app, *runs)
    (pair,) = compare_pairs(runs)
    names = {item.run.run_id: item.name for item in load(home, *runs)}
    assert describe_pair(pair, names) in read_words(app)
    row = find_table(app, "Against").iloc[0]
    assert row["Difference"] == f"+{pair['delta_auroc']:.3f}"
    assert row["Interval"] == f"+{pair['low']:.3f} to +{pair['high']:.3f}"
    assert "Corrected p" not in row.index


def test_differences_of_runs_with_other_settings_are_not_called_those_of_methods(app, home, make_run):
    """Ten settings differed, and the page said that LoRA was worse."""
    open_page(app, make_run(home), make_run(home, method="full", fraction=0.25, epochs_done=2))
    words = read_words(app)
    assert "differ in 2 settings besides the method (label fraction, epochs)" in words
    assert "not between two methods" in words


def test_rare_labels_are_named_and_positives_stand_in_the_table(app, home, make_run):
    """An AUROC of 0.047 on three positives of one patient stood there like any other."""
    runs = [make_run(home), make_run(home, method="full")]
    for run in runs:
        path = run.predictions_dir / "test.parquet"
        table = pd.read_parquet(path)
        table["target_Nodule"] = [1.0, 1.0, *[0.0] * (len(table) - 2)]
        table["patient_id"] = [table["patient_id"].iloc[0]] * 2 + list(table["patient_id"].iloc[2:])
        table.to_parquet(path, index=False)
    open_page(app, *runs)
    table = find_table(app, "Positive images").set_index("Label")
    assert table.loc["Nodule", ["Positive images", "Positive patients"]].tolist() == ["2", "1"]
    assert "Nodule 2 positive images of 1 patient" in read_words(app)
    assert "resamplings, of which" in read_words(app)


def test_positives_are_left_out_where_runs_have_other_test_images(app, home, make_run):
    open_page(app, make_run(home), make_run(home, provenance={"data_fingerprint": "00"}))
    assert find_table(app, "Positive images") is None


def test_differences_of_equal_runs_say_that_they_cannot_be_told_apart(app, home, make_run):
    runs = [make_run(home, quality=1.0), make_run(home, method="full", quality=1.0)]
    open_page(app, *runs)
    assert "the interval covers 0, so these images do not tell which is better" in read_words(app)


def test_differences_on_other_images_say_why_there_is_no_test(app, home, make_run):
    first, second = make_run(home), make_run(home, method="full")
    path = second.predictions_dir / "test.parquet"
    pd.read_parquet(path).iloc[5:].to_parquet(path, index=False)
    open_page(app, first, second)
    assert "no test, because they were tested on different images: 60 and 55, of which 55 are the same" in read_words(
        app
    )
    assert find_table(app, "Against") is None


def test_differences_of_many_runs_are_held_against_one(app, home, make_run):
    runs = [make_run(home, seed=5 * number, quality=0.5 + number / 4) for number in range(5)]
    open_page(app, *runs)
    assert len(find_table(app, "Against")) == 4
    choice = next(item for item in app.selectbox if (item.key or "").startswith("compare_yardstick"))
    choice.set_value(EVERY).run()
    check(app)
    assert len(find_table(app, "Against")) == 10
    assert "for looking at 10 pairs at once" in read_words(app)


def test_pairs_frame_has_the_reason_in_place_of_numbers(home, make_run):
    runs = [make_run(home), make_run(home, labels=("Effusion",))]
    names = {runs[0].run_id: "A", runs[1].run_id: "B"}
    frame = build_pairs_frame(compare_pairs(runs), names)
    assert frame.iloc[0].tolist() == ["B", "A", "–", "–", "–", "no test: they have different labels"]


def test_curves_follow_the_chosen_label(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full", quality=2.0)]
    open_page(app, *runs)
    assert len(find_chart(app, "ROC curves")["layer"]) == 2, "a mean has no threshold"
    app.selectbox(key="compare_label").set_value("Nodule").run()
    check(app)
    item = load(home, *runs)[1]
    figures = item.test["per_class"]["Nodule"]
    points = {row["series"]: row for row in find_chart(app, "ROC curves on test, Nodule")["layer"][2]["data"]["values"]}
    assert points[item.name]["y"] == pytest.approx(figures["sensitivity"])
    assert points[item.name]["x"] == pytest.approx(1 - figures["specificity"])
    row = find_table(app, "Prevalence").set_index("Run").loc[item.name]
    assert row["AUROC"] == f"{figures['auroc']:.3f} ({figures['low']:.3f} to {figures['high']:.3f})"
    assert row["Sensitivity"] == f"{figures['sensitivity']:.3f}"
    assert find_chart(app, "Precision-recall curves on test, Nodule")


def test_saved_points_say_which_run_label_and_rates_they_are(app, home, make_run):
    """The files of ROC curves had columns x and y, and nothing told for which label."""
    runs = load(home, make_run(home), make_run(home, method="full"))
    points = pd.DataFrame({"run": [item.name for item in runs], "x": [0.1, 0.2], "y": [0.5, 0.6]})
    table = complete_points(points, runs, "Nodule", names=("false_positive_rate", "sensitivity"))
    assert list(table.columns) == ["label", "run", "run_id", "false_positive_rate", "sensitivity"]
    assert table["run_id"].tolist() == [item.run.run_id for item in runs]
    assert set(table["label"]) == {"Nodule"}
    assert list(points.columns) == ["run", "x", "y"], "the chart's own table stays as it is"
    assert write_levels(runs) == "with 95 % intervals"


def test_curves_of_a_label_without_both_classes_say_so(app, home, make_run):
    runs = [make_run(home, labels=("Effusion", "Never")), make_run(home, method="full", labels=("Effusion", "Never"))]
    open_page(app, *runs)
    app.selectbox(key="compare_label").set_value("Never").run()
    check(app)
    assert "No curve: the test images of these runs hold only one class of Never" in read_words(app)


def test_a_label_that_these_runs_lack_falls_back_to_the_mean(app, home, make_run):
    """The label of the runs before was still chosen, and the page broke."""
    run = make_run(home, labels=("Mass", "Hernia"))
    app.run()
    app.session_state["compare_label"] = "Nodule"
    open_page(app, run)
    assert app.selectbox(key="compare_label").value == MACRO


def test_every_chart_can_be_saved_three_ways(app, home, make_run):
    open_page(app, make_run(home), make_run(home, method="full"))
    keys = {item.key for item in app.main.get("download_button")}
    charts = ("curves", "forest", "roc", "pr", "scatter", "time")
    assert {f"compare_{chart}_{ending}" for chart in charts for ending in ("png", "svg", "csv")} <= keys


def test_settings_that_are_the_same_are_shown_on_demand(app, home, make_run):
    open_page(app, make_run(home), make_run(home, method="full"))
    assert find_table(app, "Value") is None
    app.session_state["compare_shared_open"] = True
    app.run()
    check(app)
    shared = find_table(app, "Value").set_index("Setting")["Value"]
    assert shared["data.dataset"] == "phantom"
    assert "method.name" not in shared.index


@pytest.mark.parametrize("kind", FORMATS)
def test_tables_are_shown_in_each_format(app, home, make_run, kind):
    runs = [make_run(home), make_run(home, method="full")]
    open_page(app, *runs)
    assert not app.main.get("code")
    app.session_state["compare_tables"] = True
    app.session_state["compare_format_False"] = kind
    app.run()
    check(app)
    assert app.main.get("code")[0].value == write_table(build_table(load(home, *runs), FIGURES), kind).rstrip()


def test_all_numbers_are_shown_as_a_table(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full")]
    open_page(app, *runs)
    app.session_state["compare_tables"] = True
    app.session_state["compare_table_True"] = EVERYTHING
    app.run()
    check(app)
    frame = find_table(app, "metric")
    assert len(frame) == 2 * 2 * 6
    assert frame["value"].iloc[0] == runs[0].metrics()["test_auroc"]


@pytest.mark.parametrize("kind", FORMATS)
def test_differences_are_offered_as_a_table_for_papers(app, home, make_run, kind):
    """p and its correction could be read on the page and taken nowhere."""
    runs = [make_run(home), make_run(home, method="full", quality=2.0), make_run(home, method="linear", fraction=0.5)]
    open_page(app, *runs)
    app.session_state["compare_tables"] = True
    app.session_state["compare_table_True"] = DIFFERENCES
    app.session_state["compare_format_False"] = kind
    app.run()
    check(app)
    text = app.main.get("code")[0].value
    assert "Corrected p" in text
    pair = compare_pairs(runs)[0]
    assert f"+{pair['delta_auroc']:.3f}" in text.replace("\\", "")
    table = build_table(load(home, *runs), DIFFERENCES, compare_pairs(runs))
    assert len(table.rows) == 3
    assert any("differ in more than the method" in note for note in table.notes)
    settings = build_table(load(home, *runs), SETTINGS)
    assert ("data.fraction", "1", "1", "0.5") in settings.rows


def test_runs_on_a_page_leave_out_what_they_share(home, make_run):
    """Twelve columns did not fit the page of a paper."""
    table = build_table(load(home, make_run(home), make_run(home, method="full")), RUNS)
    text = write_table(table, "LaTeX")
    head = next(line for line in text.splitlines() if line.strip().startswith("Run &"))
    assert "Data" not in head
    assert {"Method", "Test AUROC"} <= {part.strip(" \\") for part in head.split("&")}
    assert "The same for all: Data phantom, Fraction 100" in text
    assert len(write_table(table, "CSV").splitlines()[0].split(",")) == 12
    single = build_table(load(home, make_run(home, method="linear")), RUNS)
    assert "The same for all" not in write_table(single, "LaTeX")


def test_tables_say_what_belongs_to_their_figures(home, make_run):
    same = build_table(load(home, make_run(home), make_run(home, method="full")), FIGURES)
    assert same.best
    assert any("Synthetic" in note for note in same.notes)
    assert any("not for clinical use" in note for note in same.notes)
    other = make_run(home, provenance={"data_fingerprint": "00"})
    mixed = build_table(load(home, make_run(home), other), FIGURES)
    assert not mixed.best, "a best value over different test images means nothing"
    assert any("different images" in note for note in mixed.notes)


def test_tables_hold_the_stored_numbers(home, make_run):
    runs = load(home, make_run(home), make_run(home, method="full"))
    rows = {row[0]: row for row in build_table(runs, RUNS).rows}
    metrics = runs[0].metrics
    assert rows[runs[0].name][10] == (
        f"{metrics['test_auroc']:.3f} ({metrics['test_auroc_low']:.3f} to {metrics['test_auroc_high']:.3f})"
    )
    assert str(metrics["test"]["per_class"]["Nodule"]["auroc"]) in build_numbers_csv(runs)


def test_a_dozen_runs_stay_readable(app, home, make_run):
    runs = [make_run(home, seed=5 * number) for number in range(12)]
    open_page(app, *runs)
    chart = next(item.proto for item in app.get("vega_lite_chart") if item.proto.alt.startswith("ROC curves"))
    rows = pa.ipc.open_stream(chart.data.data).read_all().to_pandas()
    assert len(rows) <= 2_400
    assert rows["series"].nunique() == 12
