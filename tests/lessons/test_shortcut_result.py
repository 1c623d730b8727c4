"""Figures and words of the second lesson, for a model that leans on the mark and for one that does not."""

import json

import numpy as np
import pytest
from shortcut_answers import FINDING, LABELS, make_about, make_answers, make_masked
from sklearn.metrics import roc_auc_score

from medpeft_core.explain.masked_files import Masked
from medpeft_core.lessons.shortcut_result import build_result, summarise_maps
from medpeft_core.lessons.shortcut_words import (
    CHANCE,
    NOT_TAKEN,
    SAME,
    TAKEN,
    UNCLEAR,
    WORSE,
    find_cell,
    find_row,
    find_version,
    judge_answer,
    judge_shortcut,
)


def test_result_has_the_figures_of_the_answers() -> None:
    masked = make_masked()
    result = build_result(masked)
    json.dumps(result, allow_nan=False)
    assert [row["label"] for row in result["aurocs"]] == list(LABELS)
    for split in ("val", "test"):
        part = masked.answers[masked.answers["split"] == split]
        truth = part[f"target_{FINDING}"]
        for label in LABELS:
            wanted = roc_auc_score(part[f"target_{label}"], part[f"logit_{label}"])
            assert find_row(result, label)[split] == pytest.approx(wanted)
        for version, column in (("original", "logit"), ("masked", "masked"), ("control", "control")):
            row = find_version(result, split, version)
            assert row["auroc"] == pytest.approx(roc_auc_score(truth, part[f"{column}_{FINDING}"]))
            assert row["low"] <= row["auroc"] <= row["high"]
        assert result["mark_aurocs"][split]["auroc"] == pytest.approx(roc_auc_score(truth, part["shortcut"]))
        assert result["splits"][split]["num_patients"] == 200
    row = find_row(result)
    assert row["difference"] == pytest.approx(row["val"] - row["test"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_difference_of_splits_is_resampled_independently() -> None:
    """Its variance is the sum of both; were the same draws used for both splits, it could be anything."""
    row = find_row(build_result(make_masked(lean=0.0)), "Nodule")
    widths = {name: row[f"{name}_high"] - row[f"{name}_low"] for name in ("val", "test", "difference")}
    assert widths["difference"] == pytest.approx(np.hypot(widths["val"], widths["test"]), rel=0.15)


def test_cells_split_the_test_images() -> None:
    masked = make_masked()
    result, test = build_result(masked), masked.answers[masked.answers["split"] == "test"]
    assert sum(cell["num_images"] for cell in result["cells"]) == len(test)
    here = test[(test[f"target_{FINDING}"] == 0) & (test["shortcut"] == 1)]
    probs = 1 / (1 + np.exp(-here[f"logit_{FINDING}"]))
    cell = find_cell(result, target=0, shortcut=1)
    assert cell["mean_prob"] == pytest.approx(probs.mean())
    assert cell["called"] == pytest.approx((probs >= 0.3).mean())
    assert cell["low"] < cell["mean_prob"] < cell["high"]


def test_model_that_leans_on_the_mark_is_told() -> None:
    result = build_result(make_masked(lean=4.0, skill=1.0))
    assert (judge_answer(result), judge_shortcut(result)) == (WORSE, TAKEN) == (result["answer"], result["shortcut"])
    assert result["prob_change"]["masked"]["low"] > 0.3
    assert result["prob_change"]["control"]["mean"] == 0
    assert find_version(result, "test", "masked")["change_low"] > 0
    assert "So the model leans on the marker" in result["words"]
    assert f"{find_version(result, 'test', 'masked')['auroc']:.3f} on test" in result["words"]


def test_model_that_knows_the_mark_alone_is_no_better_than_guessing() -> None:
    result = build_result(make_masked(lean=4.0, skill=0.0))
    assert result["answer"] == CHANCE


def test_model_that_did_not_take_the_shortcut_is_told() -> None:
    result = build_result(make_masked(lean=0.0, skill=2.5, num_images=2400))
    assert (result["answer"], result["shortcut"]) == (SAME, NOT_TAKEN)
    assert "did not take the shortcut" in result["words"]
    assert "leans on" not in result["words"]


def test_few_images_decide_nothing() -> None:
    result = build_result(make_masked(lean=0.3, skill=1.0, num_images=40, seed=3))
    assert result["answer"] == UNCLEAR
    result["prob_change"]["beyond_control"] = {"mean": 0.06, "low": -0.02, "high": 0.14}
    assert judge_shortcut(result) == UNCLEAR


def test_split_without_the_finding_has_no_figures() -> None:
    answers = make_answers(num_images=60)
    answers.loc[answers["split"] == "test", f"target_{FINDING}"] = 0.0
    about = {**make_about(make_answers(num_images=60))[0]}
    result = build_result(Masked(folder=make_masked().folder, answers=answers, about=about))
    json.dumps(result, allow_nan=False)
    row = find_row(result)
    assert (row["test"], row["test_low"], row["difference"], row["difference_low"]) == (None,) * 4
    assert find_cell(result, target=1, shortcut=1)["mean_prob"] is None
    assert result["answer"] == UNCLEAR
    assert "one class only" in result["words"]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.03, "3.0 times as much"), (0.01, "about as much as"), (0.004, "less than in a map")],
)
def test_words_say_whether_the_maps_lie_on_the_mark(share: float, text: str) -> None:
    masked = make_masked()
    for item in masked.about["maps"]["images"]:
        item["share"] = share
    assert text in build_result(masked)["words"]


def test_maps_may_all_be_flat() -> None:
    masked = make_masked()
    masked.about["maps"] |= {"images": [], "num_flat": 6, "grid": None}
    assert summarise_maps(masked.about["maps"])["share"] is None
    result = build_result(masked)
    json.dumps(result, allow_nan=False)
    assert "all were flat" in result["words"]
