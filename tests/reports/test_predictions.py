"""The table of stored predictions: read whole, refused when damaged, sorted into cases."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medpeft_core.errors import RunError
from medpeft_core.reports.predictions import (
    CASES,
    Predictions,
    choose_labels,
    choose_other_label,
    load_predictions,
    sort_cases,
)
from medpeft_core.runs.run import Run

LABELS = ("Effusion", "Nodule")
NAN = float("nan")


def log_odds(prob: float) -> float:
    return float(np.log(prob / (1 - prob)))


def make_run(folder: Path, *, task: str = "multilabel") -> Run:
    run = Run(folder / "20261121-2154-full-resnet18-4f2a")
    run.predictions_dir.mkdir(parents=True)
    pd.DataFrame(
        {
            "image": ["a.png", "b.png"],
            "patient_id": ["p1", "p2"],
            "target_Effusion": [1.0, 0.0],
            "target_Nodule": [0.0, NAN],
            "logit_Effusion": [0.0, -2.0],
            "logit_Nodule": [1.0, 30.0],
        }
    ).to_parquet(run.predictions_dir / "test.parquet", index=False)
    run.save_metrics({"task": task, "labels": list(LABELS), "thresholds": {"Effusion": 0.4, "Nodule": None}})
    return run


def make_predictions() -> Predictions:
    """Six images; thresholds 0.5 and 0.1."""
    effusion = [(0.9, 1), (0.6, 1), (0.2, 1), (0.7, 0), (0.1, 0), (0.95, NAN)]
    nodule = [(0.05, 0), (0.3, 1), (0.3, 0), (0.02, 1), (0.01, 0), (0.4, NAN)]
    columns: dict[str, list] = {"image": list("abcdef"), "patient_id": list("uvwxyz")}
    for label, pairs in zip(LABELS, (effusion, nodule), strict=True):
        columns[f"prob_{label}"] = [prob for prob, _ in pairs]
        columns[f"target_{label}"] = [target for _, target in pairs]
    return Predictions(table=pd.DataFrame(columns), labels=LABELS, thresholds={"Effusion": 0.5, "Nodule": 0.1})


def test_load_predictions_gives_probabilities_and_targets(tmp_path: Path) -> None:
    predictions = load_predictions(make_run(tmp_path))
    assert list(predictions.table["image"]) == ["a.png", "b.png"]
    assert list(predictions.table["patient_id"]) == ["p1", "p2"]
    expected = [[0.5, 1 / (1 + np.exp(-1))], [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-30))]]
    np.testing.assert_allclose(predictions.probs(), expected, rtol=1e-12)
    np.testing.assert_array_equal(predictions.targets(), [[1, 0], [0, NAN]])
    assert predictions.thresholds == {"Effusion": 0.4, "Nodule": None}


def test_load_predictions_of_classes_sum_to_one(tmp_path: Path) -> None:
    predictions = load_predictions(make_run(tmp_path, task="multiclass"))
    np.testing.assert_allclose(predictions.probs().sum(axis=1), 1.0)


def test_load_predictions_needs_an_evaluated_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.metrics_path.unlink()
    with pytest.raises(RunError, match="has no predictions yet"):
        load_predictions(run)


@pytest.mark.parametrize("damage", ["missing", "torn", "other labels"])
def test_load_predictions_refuses_a_damaged_file(tmp_path: Path, damage: str) -> None:
    run = make_run(tmp_path)
    path = run.predictions_dir / "test.parquet"
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:40])
    else:
        pd.read_parquet(path).drop(columns="logit_Nodule").to_parquet(path)
    with pytest.raises(RunError, match="cannot be read: .*Resume the run to evaluate it again"):
        load_predictions(run)


def test_choose_labels_prefers_true_ones() -> None:
    chosen = [LABELS[k] for k in choose_labels(make_predictions())]
    assert chosen == ["Effusion", "Effusion", "Effusion", "Nodule", "Effusion", "Effusion"]


@pytest.mark.parametrize(
    ("case", "label", "rows"),
    [
        ("all", "Effusion", [0, 1, 2, 3, 4, 5]),
        ("found", "Effusion", [0, 1]),
        ("missed", "Effusion", [2]),
        ("wrong", "Effusion", [2, 3]),  # 0.2 is further from 0.5 than 0.7 is
        ("present", "Effusion", [0, 1, 2]),
        ("alarm", "Effusion", [3]),
        ("right", "Effusion", [0, 4, 1]),  # 0.9 and 0.1 are equally far from 0.5, and stay in the order of the file
        ("found", "Nodule", [1]),
        ("present", "Nodule", [1, 3]),
        ("alarm", "Nodule", [2]),
        ("right", "Nodule", [4, 1, 0]),
        ("missed", "Nodule", [3]),
        ("wrong", "Nodule", [3, 2]),  # in log-odds 0.02 is further from 0.1 than 0.3 is
    ],
)
def test_sort_cases_puts_the_telling_ones_first(case: str, label: str, rows: list[int]) -> None:
    found = sort_cases(make_predictions(), label)[case]
    assert found.rows.tolist() == rows
    assert set(found.labels.tolist()) <= {LABELS.index(label)}


@pytest.mark.parametrize(
    ("case", "images"),
    [
        ("all", [(0, "Effusion"), (1, "Effusion"), (2, "Effusion"), (3, "Nodule"), (4, "Effusion"), (5, "Effusion")]),
        ("present", [(0, "Effusion"), (1, "Effusion"), (2, "Effusion"), (3, "Nodule")]),
        ("found", [(0, "Effusion"), (1, "Nodule")]),  # the nodule of image 1 is further above its threshold
        ("missed", [(3, "Nodule"), (2, "Effusion")]),
        ("alarm", [(2, "Nodule"), (3, "Effusion")]),
        ("right", [(4, "Nodule"), (0, "Effusion"), (1, "Nodule")]),
        ("wrong", [(3, "Nodule"), (2, "Effusion")]),
    ],
)
def test_sort_cases_of_any_label_names_the_one_that_counts(case: str, images: list[tuple[int, str]]) -> None:
    """With no label chosen "False alarms" was about one label an image, and was empty here."""
    found = sort_cases(make_predictions())[case]
    named = [(row, LABELS[label]) for row, label in zip(found.rows.tolist(), found.labels.tolist(), strict=True)]
    assert named == images


@pytest.mark.parametrize("case", [case for case in CASES if case != "all"])
def test_sort_cases_of_any_label_holds_the_images_of_each(case: str) -> None:
    """All labels together had fewer missed findings than one of them alone."""
    predictions = make_predictions()
    each = [set(sort_cases(predictions, label)[case].rows.tolist()) for label in LABELS]
    together = sort_cases(predictions)[case].rows.tolist()
    assert set(together) == set.union(*each)
    assert len(together) == len(set(together))


def test_sort_cases_of_no_images_is_empty() -> None:
    whole = make_predictions()
    empty = Predictions(table=whole.table.iloc[:0], labels=whole.labels, thresholds=whole.thresholds)
    assert {case: len(found) for case, found in sort_cases(empty).items()} == dict.fromkeys(CASES, 0)


@pytest.mark.parametrize(
    ("row", "label", "other"),
    [
        (0, "Effusion", "Nodule"),  # nothing else is called, so it is the most probable of the others
        (3, "Nodule", "Effusion"),
        (2, "Effusion", "Nodule"),
    ],
)
def test_choose_other_label_takes_what_was_called(row: int, label: str, other: str) -> None:
    assert choose_other_label(make_predictions(), row, label) == other


def test_choose_other_label_prefers_a_called_one_to_a_more_probable_one() -> None:
    table = pd.DataFrame({f"prob_{name}": [prob] for name, prob in (("A", 0.1), ("B", 0.6), ("C", 0.3), ("D", 0.9))})
    predictions = Predictions(table=table, labels=tuple("ABCD"), thresholds={"A": 0.5, "B": 0.7, "C": 0.2, "D": None})
    assert choose_other_label(predictions, 0, "A") == "C"
    only = Predictions(table=table, labels=("A",), thresholds={"A": 0.5})
    assert choose_other_label(only, 0, "A") is None


def test_sort_cases_distance_is_in_log_odds() -> None:
    assert abs(log_odds(0.02) - log_odds(0.1)) > abs(log_odds(0.3) - log_odds(0.1))
    assert abs(0.02 - 0.1) < abs(0.3 - 0.1)


def test_sort_cases_without_a_threshold_knows_no_decisions() -> None:
    predictions = make_predictions()
    predictions.thresholds["Effusion"] = None
    assert {case: len(found) for case, found in sort_cases(predictions, "Effusion").items()} == {
        "all": 6, "present": 3, "found": 0, "missed": 0, "alarm": 0, "right": 0, "wrong": 0,
    }  # fmt: skip


def test_sort_cases_refuses_an_unknown_label() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        sort_cases(make_predictions(), "Mass")
