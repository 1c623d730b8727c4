"""Curves of stored predictions: areas as in metrics.json, the threshold's point, means over labels."""

import pytest
from stored_runs import make_run

from medpeft_core.reports.curves import build_rate_curves
from medpeft_core.reports.predictions import load_predictions


def test_areas_and_points_are_those_of_metrics_json(home):
    run = make_run(home, quality=1.2)
    predictions, test = load_predictions(run), run.metrics()["test"]
    for label, figures in test["per_class"].items():
        curves = build_rate_curves(predictions, label)
        assert curves.roc.roc_area() == pytest.approx(figures["auroc"], abs=1e-9)
        assert curves.precision_recall.step_area() == pytest.approx(figures["auprc"], abs=1e-9)
        assert curves.prevalence == pytest.approx(figures["prevalence"])
        assert curves.point["sensitivity"] == pytest.approx(figures["sensitivity"])
        assert curves.point["specificity"] == pytest.approx(figures["specificity"])
        assert curves.point["threshold"] == figures["threshold"]
        assert 0 <= curves.point["precision"] <= 1


def test_mean_curves_have_the_macro_areas_and_no_threshold(home):
    run = make_run(home, labels=("Effusion", "Nodule", "Never"))
    curves, macro = build_rate_curves(load_predictions(run), None), run.metrics()["test"]["macro"]
    assert curves.num_labels == macro["num_labels"] == 2
    assert curves.roc.roc_area() == pytest.approx(macro["auroc"], abs=1e-9)
    assert curves.precision_recall.step_area() == pytest.approx(macro["auprc"], abs=1e-9)
    assert curves.point is None
    thin = curves.thin(20)
    assert len(thin.roc.x) <= 20
    assert thin.precision_recall.step_area() == pytest.approx(macro["auprc"], abs=1e-9)


def test_labels_without_both_classes_or_unknown_have_no_curve(home):
    predictions = load_predictions(make_run(home, labels=("Effusion", "Never")))
    assert build_rate_curves(predictions, "Never") is None
    assert build_rate_curves(predictions, "Mass") is None
    assert build_rate_curves(load_predictions(make_run(home, labels=("Never",))), None) is None
