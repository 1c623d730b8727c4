"""Pairs of runs: tested on the same images only, with the numbers of metrics.json, told in true sentences."""

import numpy as np
import pandas as pd
import pytest
from stored_runs import make_run

from medpeft_core.metrics import compute_macro_auroc
from medpeft_core.reports.pairs import CONFIDENCE, NUM_SAMPLES, TEST_NAME, compare_pairs, sample_run
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.sentences import (
    describe_pair,
    explain_resamplings,
    judge_pair_briefly,
    write_p_value,
    write_signed,
)


def compare(*runs, **options):
    return compare_pairs(list(runs), **options)


def change_predictions(run, change):
    """Rewrite the stored test predictions of a run."""
    path = run.predictions_dir / "test.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def test_pair_tells_how_far_b_lies_above_a(home):
    worse, better = make_run(home, quality=0.3), make_run(home, quality=2.0, method="full")
    (pair,) = compare(worse, better)
    assert (pair["a"], pair["b"], pair["test"], pair["reason"]) == (worse.run_id, better.run_id, TEST_NAME, None)
    assert pair["delta_auroc"] == better.metrics()["test_auroc"] - worse.metrics()["test_auroc"]
    assert 0 < pair["low"] < pair["delta_auroc"] < pair["high"]
    assert pair["p_value"] == pair["p_value_holm"] == pytest.approx(2 / (NUM_SAMPLES + 1))
    assert (pair["confidence"], pair["num_images"], pair["num_patients"]) == (CONFIDENCE, 60, 30)
    (turned,) = compare(better, worse)
    assert (turned["low"], turned["high"]) == pytest.approx((-pair["high"], -pair["low"]))
    assert turned["p_value"] == pair["p_value"]


def test_pair_is_the_same_whenever_it_is_computed_and_in_any_order_of_the_files(home):
    first, second = make_run(home, quality=0.8), make_run(home, quality=1.0, method="full")
    before = compare(first, second)
    change_predictions(second, lambda table: table.sample(frac=1, random_state=1))
    assert compare(first, second) == before


def test_samples_of_a_run_are_about_the_interval_of_its_own_auroc(home):
    """Else the difference would be tested on another ground than the intervals beside it."""
    run = make_run(home, quality=1.0)
    sample, metrics = sample_run(run), run.metrics()
    predictions = load_predictions(run)
    assert sample.auroc == pytest.approx(compute_macro_auroc(predictions.probs(), predictions.targets()))
    low, high = np.quantile(sample.samples, [0.025, 0.975])
    assert low == pytest.approx(metrics["test_auroc_low"], abs=0.03)
    assert high == pytest.approx(metrics["test_auroc_high"], abs=0.03)


def test_pairs_of_several_runs_are_corrected_for_looking_often(home):
    runs = [make_run(home, quality=quality, seed=0) for quality in (0.3, 0.9, 2.0)]
    pairs = compare(*runs)
    ids = [run.run_id for run in runs]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [(ids[0], ids[1]), (ids[0], ids[2]), (ids[1], ids[2])]
    assert all(pair["p_value_holm"] >= pair["p_value"] for pair in pairs)
    assert pairs[1]["p_value_holm"] == pytest.approx(3 * pairs[1]["p_value"])
    chosen = compare(*runs, pairs=[(ids[2], ids[0])])
    assert [(pair["a"], pair["b"]) for pair in chosen] == [(ids[2], ids[0])]
    assert chosen[0]["delta_auroc"] == pytest.approx(-pairs[1]["delta_auroc"])


def drop_first(table):
    return table.iloc[1:]


def rename_all(table):
    return table.assign(image=[f"other {name}" for name in table["image"]])


def flip_truth(table):
    name = next(column for column in table.columns if column.startswith("target_"))
    return table.assign(**{name: [1 - table[name].iloc[0], *table[name].iloc[1:]]})


def forget_patients(table):
    return table.assign(patient_id=None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop_first, "different images: 60 and 59, of which 59 are the same"),
        (rename_all, "tested on different images"),
        (flip_truth, "the truth of some test images differs"),
        (forget_patients, "different patients"),
    ],
)
def test_runs_on_different_ground_are_not_tested_and_it_is_said_why(home, change, reason):
    first, second = make_run(home), make_run(home, method="full", quality=1.5)
    change_predictions(second, change)
    (pair,) = compare(first, second)
    assert reason in pair["reason"]
    assert {pair[name] for name in ("test", "low", "high", "p_value", "p_value_holm")} == {None}
    assert describe_pair(pair, {first.run_id: "full", second.run_id: "LoRA"}).startswith(
        "LoRA and full: no test, because "
    )


def test_runs_of_data_sets_that_use_the_same_names_are_not_tested(home):
    """The images of `phantom` and of `phantom_shortcut` have the same names and other pixels."""
    first, second = make_run(home), make_run(home, settings={"data": {"dataset": "phantom_shortcut"}})
    assert compare(first, second)[0]["reason"] == "they were tested on different data sets"


def test_runs_with_different_labels_or_without_figures_are_not_tested(home):
    whole, other = make_run(home), make_run(home, labels=("Effusion", "Nodule"))
    running, never = make_run(home, status="running"), make_run(home, labels=("Never",))
    assert compare(whole, other)[0]["reason"] == "they have different labels"
    (pair,) = compare(whole, running)
    assert pair["reason"] == f"{running.run_id} has no test figures yet"
    assert pair["delta_auroc"] is None
    assert "has no AUROC" in compare(never, whole)[0]["reason"]
    (whole.predictions_dir / "test.parquet").write_bytes(b"PAR1")
    assert "cannot be read" in compare(whole, other)[0]["reason"]


def make_pair(**changes):
    return {
        "a": "A", "b": "B", "delta_auroc": -0.0211, "low": -0.0341, "high": -0.0079, "p_value": 0.002,
        "p_value_holm": 0.002, "test": TEST_NAME, "confidence": 0.95, "num_drawn": 2000, "num_samples": 2000,
        "rare_labels": [], "reason": None, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "LoRA is 0.021 AUROC below full (−0.034 to −0.008): the interval leaves out 0 (p = 0.002)."),
        (
            {"delta_auroc": 0.0211, "low": -0.0041, "high": 0.04, "p_value": 0.12, "p_value_holm": 0.12},
            "LoRA is 0.021 AUROC above full (−0.004 to +0.040): the interval covers 0, so these images do not tell "
            "which is better (p = 0.12).",
        ),
        (
            {"p_value": 0.02, "p_value_holm": 0.06},
            "LoRA is 0.021 AUROC below full (−0.034 to −0.008): the interval leaves out 0, but among so many pairs "
            "that may be chance (p = 0.020, corrected p = 0.060).",
        ),
        (
            {"delta_auroc": 0.0001, "low": -0.01, "high": 0.01, "p_value": 1.0, "p_value_holm": 1.0},
            "LoRA is level with full (−0.010 to +0.010): the interval covers 0, so these images do not tell which is "
            "better (p = 1.00).",
        ),
        (
            {"p_value": 2 / 638, "p_value_holm": 6 / 638, "num_samples": 637},
            "LoRA is 0.021 AUROC below full (−0.034 to −0.008): the interval leaves out 0 (p ≤ 0.003, corrected p ≤ "
            "0.009).",
        ),
        (
            {"test": None, "reason": "A has no test figures yet"},
            "LoRA and full: no test, because full has no test figures yet.",
        ),
    ],
)  # fmt: skip
def test_sentences_are_true(changes, sentence):
    assert describe_pair(make_pair(**changes), {"A": "full", "B": "LoRA"}) == sentence


def test_pairs_of_rare_labels_say_how_many_resamplings_counted(home):
    """The page said 2,000 samples where 637 had counted, as resamplings without a positive were dropped."""
    first, second = make_run(home), make_run(home, method="full", quality=1.5)
    for run in (first, second):
        change_predictions(run, keep_one_positive)
    (pair,) = compare(first, second)
    assert pair["num_drawn"] == NUM_SAMPLES
    assert 0 < pair["num_samples"] < NUM_SAMPLES, "a single patient is not drawn in a third of the resamplings"
    rarest = pair["rare_labels"][0]
    assert (rarest["num_positive"], rarest["num_positive_patients"]) == (1, 1)
    text = explain_resamplings([pair])
    assert f"2,000 resamplings, of which {pair['num_samples']:,} had images of both classes for every label" in text
    assert "Less than half" not in text
    assert (
        compare(first, second)[0]["num_samples"]
        == sample_run(first).samples.size - np.isnan(sample_run(first).samples).sum()
    )


def keep_one_positive(table):
    name = next(column for column in table.columns if column.startswith("target_"))
    return table.assign(**{name: [1.0, *[0.0] * (len(table) - 1)]})


def test_explained_resamplings_are_cautious_when_few_counted():
    rare = [{"label": "Hernia", "num_positive": 3, "num_positive_patients": 1}]
    text = explain_resamplings([make_pair(num_samples=637, p_value=2 / 638, rare_labels=rare)])
    assert "may be too narrow" in text
    assert "rare labels: Hernia 3 positive images of 1 patient" in text
    assert "“≤” marks the smallest p" in text
    plain = explain_resamplings([make_pair()])
    assert plain == f"{TEST_NAME}, 2,000 resamplings."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "leaves out 0"),
        ({"high": 0.01}, "covers 0"),
        ({"p_value_holm": 0.06}, "leaves out 0, may be chance among 3 pairs"),
    ],
)
def test_tables_say_in_few_words_what_sentences_say(changes, words):
    assert judge_pair_briefly(make_pair(**changes), 3) == words


def test_numbers_in_sentences():
    assert [write_signed(value) for value in (0.0214, -0.0078, 0.0001, -0.0001)] == [
        "+0.021",
        "−0.008",
        "0.000",
        "0.000",
    ]
    assert [write_p_value(value) for value in (0.0004, 0.0312, 0.5)] == ["< 0.001", "= 0.031", "= 0.50"]
