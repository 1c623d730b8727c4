"""What Predict lists and saves: probabilities, results, and a table for other programs."""

import io

import numpy as np
import pandas as pd
import pytest
from predict_visits import ANSWER, PROBS

from pages.widgets.predict_probs import (
    SYNTHETIC_MODEL,
    build_probs_table,
    build_results_table,
    guard_formula,
    write_csv,
)


def test_probs_table_is_sorted_and_tells_the_base_rate():
    table = build_probs_table(ANSWER).set_index("label")
    assert table.index.tolist() == ["Effusion", "Cardiomegaly", "Nodule"]
    assert table["prevalence"].tolist()[:2] == [25.0, 10.0]
    assert np.isnan(table.loc["Nodule", "prevalence"])


def test_results_table_holds_answers_and_problems():
    table = build_results_table([("a.png", ANSWER, ""), ("b.png", None, "It failed.")])
    assert table.columns.tolist() == ["image", "called", "prob_Cardiomegaly", "prob_Effusion", "prob_Nodule", "note"]
    assert table["note"].tolist() == ["It is small.", "It failed."]
    assert build_results_table([("b.png", None, "It failed.")]).columns.tolist() == ["image", "called", "note"]


def test_csv_of_a_synthetic_model_says_so_in_each_line():
    """The page warned of it, the file that went on did not."""
    table = pd.read_csv(io.BytesIO(write_csv("run-1", [("a.png", {**ANSWER, "is_synthetic": True}, "")])))
    assert (table["note"] == f"{SYNTHETIC_MODEL} It is small.").all()


def test_csv_has_a_line_for_each_image_and_label():
    content = write_csv("run-1", [("=cmd|' /C calc'!A0.png", ANSWER, ""), ("b.png", None, "It failed.")])
    table = pd.read_csv(io.BytesIO(content), encoding="utf-8-sig")
    assert len(table) == 4
    assert table["image"][0].startswith("'=")
    assert table["call"].tolist()[:2] == ["no", "yes"]
    assert table["probability"].tolist()[:3] == list(PROBS.values())
    assert (table["notice"] == "Research and teaching only, not for clinical use.").all()


@pytest.mark.parametrize(("text", "safe"), [("a", "a"), ("=1", "'=1"), ("@x", "'@x"), ("", "")])
def test_guard_formula(text, safe):
    assert guard_formula(text) == safe
