"""Runs on classes that exclude each other: their figures are those of the stored predictions, and how many may be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    roc_auc_score,
)
from toy_set import make_config, register_toy, train

from medpeft_core.commands.images import predict
from medpeft_core.commands.runs import compare_runs, show_run
from medpeft_core.datasets.spec import DATASETS, NoOptions
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.summary import summarise_result
from medpeft_core.runs.run import Run

GRADES = tuple(f"class_{number}" for number in range(4))
MANY = 2000


def take_last_class_from_val(table: pd.DataFrame) -> None:
    rows = (table["split"] == "val") & (table["class_3"] == 1)
    table.loc[rows, "split"] = "train"
    moved = table["patient_id"].isin(set(table.loc[rows, "patient_id"])) & (table["split"] == "val")
    table.loc[moved, "split"] = "train"  # the other images of these patients


def reckon(path: Path) -> dict[str, Any]:
    """The figures by scikit-learn, from a file of predictions alone."""
    table = pd.read_parquet(path)
    logits = table[[f"logit_{label}" for label in GRADES]].to_numpy(dtype=float)
    true = table[[f"target_{label}" for label in GRADES]].to_numpy().argmax(axis=1)
    predicted = logits.argmax(axis=1)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    seen = np.unique(true)
    return {
        "accuracy": accuracy_score(true, predicted),
        "macro_f1": f1_score(true, predicted, average="macro"),
        "weighted_f1": f1_score(true, predicted, average="weighted"),
        "balanced_accuracy": balanced_accuracy_score(true, predicted),
        "quadratic_kappa": cohen_kappa_score(true, predicted, weights="quadratic", labels=range(4)),
        "confusion": confusion_matrix(true, predicted, labels=range(4)).tolist(),
        "auroc": np.mean([roc_auc_score(true == k, probs[:, k]) for k in seen]),
        "absent": set(range(4)) - set(seen),
    }


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("is_cached", [False, True])
def test_run_on_grades_has_the_figures_of_its_predictions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_cached: bool
) -> None:
    register_toy(monkeypatch, tmp_path / "grades", task="multiclass", is_ordered=True, change=take_last_class_from_val)
    method = {"method": {"name": "linear"}} if is_cached else {"method": {"name": "full"}, "optim": {"lr": 1e-3}}
    run = train(make_config(**method, train={"epochs": 2, "cached_features": is_cached}))
    assert run.provenance()["is_ordered"] is True
    metrics = run.metrics()
    assert metrics["is_ordered"] is True
    assert set(metrics["thresholds"].values()) == {None}
    for split in ("val", "test"):
        found, expected = metrics[split], reckon(run.predictions_dir / f"{split}.parquet")
        for name in ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy", "quadratic_kappa"):
            assert found[name] == pytest.approx(expected[name], abs=1e-9), (split, name)
            assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
        assert found["confusion"] == expected["confusion"]
        assert found["macro"]["auroc"] == pytest.approx(expected["auroc"], abs=1e-9)
        assert set(found["macro"]["labels_left_out"]) == {GRADES[k] for k in expected["absent"]}
    assert set(metrics["val"]["macro"]["labels_left_out"]) == {"class_3"}
    assert metrics["test_quadratic_kappa"] == metrics["test"]["quadratic_kappa"]
    told = [event["text"] for event in run.history() if event["type"] == "log"]
    assert sum("leaves out 1 of 4 labels" in text and "class_3" in text for text in told) == 1
    evals = [event for event in run.history() if event["type"] == "eval"]
    assert evals[0]["val_auroc"] is not None
    assert evals[0]["val_auroc_per_class"]["class_3"] is None
    assert summarise_result(run)["test_quadratic_kappa"] == metrics["test"]["quadratic_kappa"]
    assert load_predictions(run).task == "multiclass"
    check_commands(run, capsys)


def check_commands(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What the terminal says of a run on grades, and of one image."""
    metrics = run.metrics()
    assert metrics is not None
    show_run(run.run_id, as_json=False)
    kappa = metrics["test"]["quadratic_kappa"]
    assert f"Quadratic kappa of the likeliest class {kappa:.3f} (" in capsys.readouterr().out
    compare_runs([run.run_id, run.run_id], as_json=False)
    assert "Likeliest class on test" in capsys.readouterr().out
    image = load_predictions(run).table["image"].iloc[0]
    path = DATASETS["toy"].read(None, NoOptions(), split_seed=0, progress=None).image_root / image
    predict(run.run_id, [path], window=None, frame=None, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    [found] = answer["images"]
    assert found["likeliest"] == max(found["probs"], key=lambda label: found["probs"][label])
    assert sum(found["probs"].values()) == pytest.approx(1)
    predict(run.run_id, [path], window=None, frame=None, as_json=False)
    assert capsys.readouterr().out.count("likeliest") == 1


def test_run_on_thousands_of_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    labels = tuple(f"kind {number}" for number in range(MANY))

    def spread(table: pd.DataFrame) -> pd.DataFrame:
        targets = pd.DataFrame(np.eye(MANY)[np.arange(len(table)) % 30], columns=list(labels))
        return pd.concat([table.drop(columns=list(GRADES)), targets], axis=1)

    register_toy(monkeypatch, tmp_path / "many", task="multiclass", change=spread)
    run = train(make_config(method={"name": "linear"}, train={"epochs": 1}, optim={"class_weights": "balanced"}))
    metrics = run.metrics()
    assert metrics["test"]["confusion"] is None
    assert 0 <= metrics["test"]["accuracy"] <= 1
    assert metrics["test"]["macro"]["num_labels"] == 16
    assert all(len(event["val_auroc_per_class"]) == 0 for event in run.history() if event["type"] == "eval")
    assert all(len(text) < 1000 for text in run.provenance()["warnings"])
