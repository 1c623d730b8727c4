"""Runs on classes that exclude each other, on every page that shows results."""

import pytest
from monitor_visits import read_metrics, read_table, read_texts

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
