"""Runs on classes that exclude each other, on every page that shows results."""

import io

import pandas as pd
import pytest
from explain_visits import open_page as open_explain
from explain_visits import read_address, read_words
from monitor_visits import read_metrics, read_table, read_texts

from medpeft_core.reports.compare import build_comparison_table
from medpeft_core.reports.decision_tables import build_decision_table
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.tables import build_metric_rows, build_runs_table
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.store import RunStore
from pages.widgets.class_probs import build_class_table
from pages.widgets.predict_probs import build_results_table, write_csv
from pages.widgets.runs_table import build_runs_frame

GRADES = ("none", "mild", "moderate", "severe")


@pytest.fixture
def make_class_run(home, make_run):
    """`make_class_run(labels=..., is_ordered=..., ...)` writes a finished run on exclusive classes."""

    def make(*, labels=GRADES, is_ordered=True, **options):
        origin = {"task": "multiclass", "is_ordered": is_ordered}
        return make_run(home, labels=labels, provenance=origin, **options)

    return make


def test_monitor_shows_decisions_and_the_confusion_matrix(monitor, make_class_run):
    run = make_class_run()
    test = run.metrics()["test"]
    app = monitor()
    figures = read_metrics(app)
    for title in ("Accuracy", "Macro F1", "Weighted F1", "Quadratic kappa"):
        name = title.lower().replace(" ", "_")
        interval = f"{test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f}"
        assert figures[title] == (f"{test[name]:.3f}", interval)
    frame = read_table(app, "Class")
    assert list(frame["Class"]) == list(GRADES)
    assert list(frame["F1"]) == [f"{test['per_class'][label]['f1']:.3f}" for label in GRADES]
    text = read_texts(app)
    assert "**Confusion matrix**" in text
    assert "Commonest mistakes" in text
    assert "take the likeliest class as the answer" in text
    assert len(app.get("vega_lite_chart")) == 5


def test_monitor_of_unordered_classes_has_no_kappa_and_says_what_is_missing(monitor, make_class_run):
    run = make_class_run(labels=("a", "b", "Never"), is_ordered=False)
    app = monitor()
    assert "Quadratic kappa" not in read_metrics(app)
    assert "The mean AUROC is over 2 classes; 1 had no test image, or all of them." in read_texts(app)
    (run.predictions_dir / "test.parquet").unlink()
    assert "No confusion matrix" in read_texts(monitor())


def test_monitor_of_many_classes_shows_the_largest(monitor, make_class_run):
    make_class_run(labels=tuple(f"kind {number}" for number in range(40)))
    app = monitor()
    assert "The 30 largest of 40 classes are shown" in read_texts(app)


def read_options(app, key):
    return app.main.selectbox(key=key).options


def test_explain_sorts_images_by_right_and_wrong_class(app, home, compute, make_class_run):
    run = make_class_run()
    predictions = load_predictions(run)
    called, true = predictions.called_classes(), predictions.true_classes()
    open_explain(app, run=run.run_id, show="wrong")
    num_wrong = int((called != true).sum())
    assert read_options(app, "explain_case") == [
        "All test images (60)", f"Right class ({60 - num_wrong})", f"Wrong class ({num_wrong})",
    ]  # fmt: skip
    row = int(read_address(app, "image")) - 1
    wrong, right = predictions.labels[called[row]], predictions.labels[true[row]]
    assert compute.asked[-1]["label"] == wrong
    verdict = next(text for text in read_texts(app).split("\n") if "is likeliest" in text)
    assert verdict.startswith(f"✕ **{wrong}** is likeliest")
    assert verdict.endswith(f"but the true class is **{right}**.")
    table = read_table(app, "answer")
    assert table["label"][0] == wrong
    assert table["answer"].tolist() == ["● likeliest", "", "", ""]
    assert table.set_index("label")["truth"][right] == "✕ true class"
    assert "mean over the classes" in read_words(app)
    assert "accuracy " in read_words(app)


def test_explain_of_one_class_lists_what_was_taken_for_it(app, home, compute, make_class_run):
    run = make_class_run()
    predictions = load_predictions(run)
    called, true = predictions.called_classes(), predictions.true_classes()
    open_explain(app, run=run.run_id, label="mild", show="missed")
    is_mild, is_called = true == 1, called == 1
    assert read_options(app, "explain_case")[3:] == [
        f"Of this class ({is_mild.sum()})",
        f"Taken for another class ({(is_mild & ~is_called).sum()})",
        f"Others taken for this class ({(~is_mild & is_called).sum()})",
    ]
    row = int(read_address(app, "image")) - 1
    assert is_mild[row]
    assert not is_called[row]
    assert compute.asked[-1]["label"] == "mild"


def test_explain_of_two_class_runs_shows_both_answers(app, home, compute, make_class_run):
    runs = [make_class_run(seed=seed, quality=quality) for seed, quality in ((0, 1.0), (0, 2.0))]
    open_explain(app, run=runs[0].run_id, **{"with": runs[1].run_id}, show="disagree")
    first, second = (load_predictions(run) for run in runs)
    row = int(read_address(app, "image")) - 1
    names = [item.labels[item.called_classes()[row]] for item in (first, second)]
    assert names[0] != names[1]
    verdicts = [text for text in read_texts(app).split("\n") if "is likeliest" in text]
    assert [text.partition(" (")[0].replace("✕ ", "").replace("● ", "") for text in verdicts] == [
        f"**{letter}** · **{name}** is likeliest" for letter, name in zip("AB", names, strict=True)
    ]


def test_explain_of_many_classes_shows_the_likeliest_and_the_true_one(app, home, compute, make_class_run):
    labels = tuple(f"kind {number}" for number in range(60))
    run = make_class_run(labels=labels, quality=0.0)
    predictions = load_predictions(run)
    probs, true = predictions.probs(), predictions.true_classes()
    ranks = (probs > probs[range(60), true][:, None]).sum(axis=1)
    row = int((ranks > 25).argmax())
    open_explain(app, run=run.run_id, image=str(row + 1))
    table = read_table(app, "answer")
    assert len(table) == 21
    assert table["label"].iloc[-1] == labels[true[row]]
    assert "21 of 60 classes are shown" in read_words(app)


def test_predict_tells_the_likeliest_class_and_uses_no_threshold():
    answer = {
        "task": "multiclass", "probs": {"a": 0.2, "b": 0.45, "c": 0.35}, "warnings": [], "is_synthetic": False,
        "thresholds": dict.fromkeys("abc", 0.1), "prevalence": {"a": 0.5, "b": 0.3, "c": None},
    }  # fmt: skip
    table = build_results_table([("film.png", answer, "")])
    assert table.loc[0, ["image", "called", "probability", "prob_c"]].tolist() == ["film.png", "b", 0.45, 0.35]
    saved = pd.read_csv(io.BytesIO(write_csv("run", [("film.png", answer, "")])))
    assert saved["call"].tolist() == ["no", "yes", "no"]
    many = {**answer, "probs": {f"k{number}": 1 / 100 for number in range(100)}}
    assert build_results_table([("film.png", many, "")]).columns.tolist() == ["image", "called", "probability", "note"]
    assert build_class_table(answer["probs"], answer["prevalence"], None)["label"].tolist() == ["b", "c", "a"]


def test_compare_shows_decisions_and_leaves_gaps_for_other_runs(app, home, make_run, make_class_run):
    first, second = make_class_run(), make_class_run(method="full", quality=2.0)
    labels = make_run(home)
    app.run()
    app.query_params["runs"] = ",".join(run.run_id for run in (first, second, labels))
    app.switch_page("pages/compare.py").run()
    assert not app.exception, app.exception[0].message
    table = read_table(app, "Macro F1")
    assert table.columns.tolist() == [
        "Run", "Accuracy", "Macro F1", "Weighted F1", "Balanced accuracy", "Quadratic kappa",
    ]  # fmt: skip
    test = first.metrics()["test"]
    assert table["Accuracy"][0].startswith(f"{test['accuracy']:.3f} ({test['accuracy_low']:.3f} to ")
    assert table.iloc[2, 1:].tolist() == ["–"] * 5
    assert "A dash: the run tells labels of which an image may have several" in read_texts(app)


def test_tables_for_papers_hold_decisions_where_runs_have_them(home, make_run, make_class_run):
    runs = [make_class_run(), make_run(home)]
    rows = build_metric_rows([(run.run_id, run.run_id, run.metrics()) for run in runs])
    kappa = rows[rows["metric"] == "quadratic_kappa"]
    assert kappa["run_id"].tolist() == [runs[0].run_id]
    assert kappa["value"].tolist() == [runs[0].metrics()["test"]["quadratic_kappa"]]
    assert build_decision_table(rows).rows[1][1:] == ("–",) * 5
    table = build_runs_table(build_comparison_table(runs))
    at = table.columns.index("Weighted F1")
    assert [row[at] for row in table.rows] == [f"{runs[0].metrics()['test']['weighted_f1']:.3f}", "–"]
    assert "Accuracy" not in build_runs_table(build_comparison_table(runs[1:])).columns
    frame = build_runs_frame(list_summaries(RunStore(home))).set_index("run_id")
    assert frame.loc[runs[0].run_id, "macro_f1"] == runs[0].metrics()["test"]["macro_f1"]
    assert frame["quadratic_kappa"].isna().sum() == 1
