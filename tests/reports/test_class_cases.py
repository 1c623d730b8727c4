"""Lists of images of exclusive classes, and what was taken for what, against lists made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from medpeft_core.config import DataConfig
from medpeft_core.errors import RunError
from medpeft_core.figures.confusion import build_confusion_chart
from medpeft_core.reports.class_cases import build_confusion, find_confused, sort_class_cases, sort_images
from medpeft_core.reports.disagreements import pair_predictions, sort_disagreements
from medpeft_core.reports.predictions import Predictions, choose_labels, choose_other_label, find_thresholds

LABELS = ("a", "b", "c")
PROBS = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.45, 0.15, 0.4], [0.3, 0.4, 0.3]])
TRUE = (0, 0, 2, 2, None)


def make(probs=PROBS, true=TRUE, *, task="multiclass", labels=LABELS):
    columns = {"image": [f"{row}.png" for row in range(len(probs))], "patient_id": None}
    targets = [[np.nan] * len(labels) if k is None else np.eye(len(labels))[k] for k in true]
    columns |= {f"prob_{label}": probs[:, k] for k, label in enumerate(labels)}
    columns |= {f"target_{label}": np.array(targets)[:, k] for k, label in enumerate(labels)}
    return Predictions(table=pd.DataFrame(columns), labels=labels, thresholds=dict.fromkeys(labels), task=task)


def read(lists):
    return {name: (item.rows.tolist(), [LABELS[k] for k in item.labels]) for name, item in lists.items()}


def test_images_of_any_class_are_right_or_wrong():
    assert read(sort_images(make())) == {
        "all": ([0, 1, 2, 3, 4], ["a", "b", "c", "a", "b"]),
        "right": ([2, 0], ["c", "a"]),
        "wrong": ([1, 3], ["b", "a"]),
    }


def test_images_of_one_class_are_found_missed_or_taken_for_it():
    lists = read(sort_class_cases(make(), "a"))
    assert {name: rows for name, (rows, _) in lists.items()} == {
        "all": [0, 1, 2, 3, 4], "right": [0], "wrong": [1, 3], "present": [0, 1], "missed": [1], "alarm": [3],
    }  # fmt: skip
    assert {label for _, labels in lists.values() for label in labels} == {"a"}


def test_label_to_explain_is_the_answer_and_the_other_one_is_the_truth():
    predictions = make()
    assert choose_labels(predictions).tolist() == [0, 1, 2, 0, 1]
    assert choose_other_label(predictions, 3, "a") == "c"  # the truth, where the answer was explained
    assert choose_other_label(predictions, 3, "b") == "a"
    assert choose_other_label(predictions, 0, "a") == "b"  # answer and truth are one: the next probable


def test_no_threshold_is_used_even_where_an_older_run_has_some():
    stored = {"task": "multiclass", "labels": ["a", "b"], "thresholds": {"a": 0.3, "b": 0.2}}
    assert find_thresholds(stored) == {"a": None, "b": None}
    assert find_thresholds({**stored, "task": "multilabel"}) == {"a": 0.3, "b": 0.2}


def test_confusion_equals_scikit_learn_and_tells_its_commonest_mistakes():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 80)
    predictions = make(rng.dirichlet(np.ones(3), 80), tuple(true))
    matrix = build_confusion(predictions, max_classes=30)
    expected = confusion_matrix(true, predictions.called_classes())
    np.testing.assert_array_equal(matrix.counts, expected)
    np.testing.assert_allclose(matrix.shares(), expected / expected.sum(axis=1, keepdims=True))
    mistakes = {
        (LABELS[row], LABELS[column], expected[row, column]) for row in range(3) for column in range(3) if row != column
    }
    found = find_confused(matrix, 6)
    assert set(found) == mistakes
    assert [number for *_, number in found] == sorted((number for *_, number in found), reverse=True)
    spec = build_confusion_chart(matrix.rows(), matrix.labels)
    assert len(spec["data"]["values"]) == 9
    assert sum(row["num_images"] for row in spec["data"]["values"]) == 80
    assert spec["encoding"]["y"]["scale"]["domain"] == list(LABELS)


def test_confusion_of_many_classes_keeps_the_largest_and_counts_the_rest():
    labels = tuple(f"k{number}" for number in range(5))
    true = (0,) * 6 + (1,) * 3 + (4, 3)
    probs = np.eye(5)[[0] * 5 + [4] + [1] * 3 + [4, 0]]
    matrix = build_confusion(make(probs, true, labels=labels), max_classes=2)
    assert matrix.labels == ("k0", "k1")
    assert matrix.counts.tolist() == [[5, 0], [0, 3]]
    assert (matrix.num_classes, matrix.num_elsewhere) == (5, 3)
    whole = build_confusion(make(probs, true, labels=labels), max_classes=5)
    assert np.isnan(whole.shares()[2]).all()  # k2 has no image
    assert {row["true"] for row in whole.rows()} == {"k0", "k1", "k3", "k4"}
    assert find_confused(whole, 9) == [("k0", "k4", 1), ("k3", "k0", 1)]


def pair(first, second):
    run = SimpleNamespace(config=lambda: SimpleNamespace(data=DataConfig(dataset="phantom")))
    return pair_predictions(run, first, run, second)


def test_two_runs_disagree_where_their_likeliest_classes_differ():
    other = PROBS.copy()
    other[0], other[2] = [0.3, 0.4, 0.3], [0.1, 0.7, 0.2]
    found = pair(make(), make(other))
    rows, labels = sort_disagreements(found)
    assert (rows.tolist(), labels.tolist()) == ([2, 0], [2, 0])  # c fell by 0.6, a by 0.3
    assert sort_disagreements(found, "b")[0].tolist() == [2, 0]
    assert sort_disagreements(found, "a")[0].tolist() == [0]


def test_runs_on_classes_and_on_labels_cannot_be_laid_beside_each_other():
    with pytest.raises(RunError, match="exclusive classes"):
        pair(make(), make(task="multilabel"))
