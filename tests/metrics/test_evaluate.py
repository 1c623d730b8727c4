"""evaluate_predictions: the content of metrics.json."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

from medpeft_core.errors import MetricError
from medpeft_core.metrics import METRICS, evaluate_predictions, probs_from_logits

LABELS = ("Edema", "Effusion", "Hernia", "Mass")
OPTIONS = {"thresholds": None, "bootstrap_samples": 100, "confidence": 0.95, "seed": 0}


@pytest.fixture
def predictions():
    """200 images of about 65 patients; nobody has a hernia, and every known mass is positive."""
    rng = np.random.default_rng(0)
    targets = (rng.random((200, 4)) < 0.3).astype(float)
    targets[:, 2], targets[:, 3] = 0, 1
    targets[rng.random(targets.shape) < 0.1] = np.nan
    probs = probs_from_logits(rng.normal(size=targets.shape) + np.nan_to_num(targets), "multilabel")
    return probs, targets, rng.integers(0, 70, 200).astype(str)


def test_evaluate_predictions_equals_scikit_learn(predictions):
    probs, targets, patients = predictions
    thresholds = {"Edema": 0.5, "Effusion": 0.6, "Hernia": None, "Mass": 0.5}
    result = evaluate_predictions(
        probs, targets, patients, LABELS, "multilabel", **{**OPTIONS, "thresholds": thresholds}
    )
    for k, label in enumerate(LABELS[:2]):
        known = ~np.isnan(targets[:, k])
        true, scores, values = targets[known, k], probs[known, k], result["per_class"][label]
        called = scores >= thresholds[label]
        assert values["auroc"] == pytest.approx(roc_auc_score(true, scores))
        assert values["auprc"] == pytest.approx(average_precision_score(true, scores))
        assert values["sensitivity"] == pytest.approx(recall_score(true, called))
        assert values["specificity"] == pytest.approx(recall_score(1 - true, ~called))
        assert values["f1"] == pytest.approx(f1_score(true, called))
        assert values["low"] < values["auroc"] < values["high"]
        assert values["auprc_low"] < values["auprc"] < values["auprc_high"]
        assert (values["num_positive"], values["num_unknown"]) == (true.sum(), (~known).sum())
        assert values["prevalence"] == pytest.approx(true.mean())
        assert values["reason"] is None
    macro = result["macro"]
    assert macro["auroc"] == pytest.approx(np.mean([result["per_class"][label]["auroc"] for label in LABELS[:2]]))
    assert macro["auroc_low"] < macro["auroc"] < macro["auroc_high"]
    assert result["num_patients"] == len(set(patients))


def test_evaluate_predictions_says_why_a_number_is_missing(predictions):
    probs, targets, patients = predictions
    thresholds = {"Hernia": None, "Mass": 0.5}
    result = evaluate_predictions(
        probs, targets, patients, LABELS, "multilabel", **{**OPTIONS, "thresholds": thresholds}
    )
    hernia, mass = result["per_class"]["Hernia"], result["per_class"]["Mass"]
    for values in (hernia, mass):
        assert [values[name] for name in ("auroc", "low", "high", "auprc", "auprc_low", "auprc_high")] == [None] * 6
    assert hernia["reason"] == "no positive image in this split"
    assert mass["reason"] == "no negative image in this split"
    assert 0 < mass["sensitivity"] < 1
    assert mass["specificity"] is None
    assert hernia["sensitivity"] is hernia["threshold"] is None
    assert result["macro"]["num_labels"] == 2
    assert result["macro"]["labels_left_out"] == {"Hernia": hernia["reason"], "Mass": mass["reason"]}


def test_evaluate_predictions_is_json_even_when_nothing_is_known(predictions):
    probs, targets, patients = predictions
    result = evaluate_predictions(probs, np.full_like(targets, np.nan), patients, LABELS, "multilabel", **OPTIONS)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["macro"]["auroc"] is result["macro"]["auroc_low"] is None
    assert result["per_class"]["Edema"]["reason"] == "no image with a known label in this split"
    assert result["per_class"]["Edema"]["prevalence"] is None


def test_evaluate_predictions_without_resampling_has_no_intervals(predictions):
    result = evaluate_predictions(*predictions, LABELS, "multilabel", **{**OPTIONS, "bootstrap_samples": 0})
    assert result["macro"]["auroc"] > 0.5
    assert result["macro"]["auroc_low"] is None
    assert result["per_class"]["Edema"]["low"] is None


def test_evaluate_predictions_does_not_depend_on_the_order_of_rows(predictions):
    probs, targets, patients = predictions
    order = np.random.default_rng(1).permutation(len(probs))
    first = evaluate_predictions(probs, targets, patients, LABELS, "multilabel", **OPTIONS)
    second = evaluate_predictions(probs[order], targets[order], patients[order], LABELS, "multilabel", **OPTIONS)
    for name, value in first["macro"].items():
        assert second["macro"][name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value)


def test_evaluate_predictions_of_exclusive_classes():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 150)
    targets = np.eye(3)[true]
    probs = probs_from_logits(rng.normal(size=(150, 3)) + 1.5 * targets, "multiclass")
    patients = rng.integers(0, 50, 150)
    result = evaluate_predictions(probs, targets, patients, ("a", "b", "c"), "multiclass", **OPTIONS)
    assert result["macro"]["auroc"] == pytest.approx(roc_auc_score(true, probs, multi_class="ovr"))
    assert result["accuracy"] == pytest.approx(accuracy_score(true, probs.argmax(axis=1)))
    assert result["accuracy_low"] < result["accuracy"] < result["accuracy_high"]
    assert result["macro_f1"] == pytest.approx(f1_score(true, probs.argmax(axis=1), average="macro"))
    targets[:5] = np.nan
    later = evaluate_predictions(probs, targets, patients, ("a", "b", "c"), "multiclass", **OPTIONS)
    assert later["accuracy"] == pytest.approx(accuracy_score(true[5:], probs[5:].argmax(axis=1)))


def test_probs_from_logits_are_stable():
    logits = np.array([[1000.0, -1000.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(probs_from_logits(logits, "multilabel"), [[1.0, 0.0, 0.5]])
    np.testing.assert_allclose(probs_from_logits(logits, "multiclass"), [[1.0, 0.0, 0.0]])
    random = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(probs_from_logits(random, "multiclass"), softmax(random, axis=1))
    np.testing.assert_allclose(probs_from_logits(random, "multilabel"), 1 / (1 + np.exp(-random)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"task": "regression"}, "task is 'regression'"),
        ({"labels": ("a",)}, "a column for each of the 1 labels"),
        ({"probs": np.full((200, 4), np.nan)}, "probabilities of 'Edema' are NaN"),
        ({"targets": np.full((200, 4), 0.5)}, "neither 0, 1 nor missing"),
        ({"task": "multiclass"}, "each belongs to exactly one"),
        ({"probs": np.zeros((0, 4)), "targets": np.zeros((0, 4))}, "no images to evaluate"),
    ],
)
def test_evaluate_predictions_refuses_odd_input(predictions, change, text):
    given = (
        dict(zip(("probs", "targets", "patients"), predictions, strict=True), labels=LABELS, task="multilabel") | change
    )
    with pytest.raises(MetricError, match=text):
        evaluate_predictions(**given, **OPTIONS)


def test_metric_specs_explain_themselves_in_two_sentences():
    assert METRICS.names()[:6] == ["auroc", "auprc", "sensitivity", "specificity", "f1", "accuracy"]
    for spec in METRICS:
        assert spec.explanation.count(". ") == 1
        assert spec.explanation.endswith(".")
        assert spec.range == ((-1.0, 1.0) if spec.name == "quadratic_kappa" else (0.0, 1.0))
