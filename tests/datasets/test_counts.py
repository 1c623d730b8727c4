"""What charts of a data set show: counts by hand, and Wilson's interval against published values."""

from dataclasses import replace

import numpy as np
import pytest

from medpeft_core.datasets.counts import (
    MAX_PAIR_LABELS,
    compute_wilson_interval,
    count_ages,
    count_labels,
    count_pairs,
    count_splits,
    count_unknown,
    count_values,
)

SPLITS = ["train", "train", "train", "val", "test", "test"]
PATIENTS = ["a", "a", "b", "c", "d", "e"]


@pytest.fixture
def manifest(make_manifest):
    targets = np.array([[1, 0], [1, np.nan], [0, np.nan], [0, 1], [1, 1], [0, 0]])
    made = make_manifest(PATIENTS, SPLITS, targets)
    return made.with_table(
        made.table.assign(
            age=[5.0, 20.0, 29.9, 95.0, np.nan, 20.0], sex=["F", "M", "M", "F", None, "M"], view=[None] * 6
        )
    )


def test_compute_wilson_interval_gives_published_values():
    """Newcombe 1998, Stat Med 17, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    assert compute_wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert compute_wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert compute_wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert compute_wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert compute_wilson_interval(20, 20)[1] == 1.0


def test_count_labels_counts_known_images_only(manifest):
    rows = count_labels(manifest)
    assert [(row["label"], row["split"]) for row in rows[:4]] == [
        ("label_0", "train"), ("label_0", "val"), ("label_0", "test"), ("label_1", "train"),
    ]  # fmt: skip
    assert {name: rows[3][name] for name in ("num_positive", "num_known", "num_unknown", "share")} == {
        "num_positive": 0, "num_known": 1, "num_unknown": 2, "share": 0.0,
    }  # fmt: skip


def test_count_labels_tells_that_nothing_is_known(make_manifest):
    row = count_labels(make_manifest(["a"], "train", np.array([[np.nan]])))[0]
    assert (row["share"], row["low"], row["num_unknown"]) == (None, None, 1)


def test_count_splits_counts_patients_and_findings(manifest):
    train, val, _, everything = count_splits(manifest)
    assert train == {
        "split": "train", "num_images": 3, "num_patients": 2, "images_per_patient": 1.5, "num_with_finding": 2,
        "num_without": 0,
    }  # fmt: skip
    assert (val["num_with_finding"], val["num_without"]) == (1, 0)
    assert (everything["num_images"], everything["num_patients"], everything["num_without"]) == (6, 5, 1)


def test_count_splits_without_patients(make_manifest):
    row = count_splits(make_manifest([None, None]))[0]
    assert (row["num_patients"], row["images_per_patient"]) == (None, None)


def test_count_values_takes_shares_of_the_known(manifest):
    rows = count_values(manifest, "sex")
    assert [(row["split"], row["value"], row["num_images"], row["share"]) for row in rows] == [
        ("train", "M", 2, 2 / 3), ("val", "M", 0, 0.0), ("test", "M", 1, 1.0),
        ("train", "F", 1, 1 / 3), ("val", "F", 1, 1.0), ("test", "F", 0, 0.0),
    ]  # fmt: skip
    assert count_values(manifest, "view") == []
    assert count_values(manifest, "unheard_of") == []
    assert (count_unknown(manifest, "sex"), count_unknown(manifest, "view"), count_unknown(manifest, "x")) == (1, 6, 6)


def test_count_values_keeps_the_order_of_values_that_have_one(manifest):
    """Skin types stood by their frequency: 2, 6, 1."""
    made = manifest.with_table(manifest.table.assign(skin_type=["6", "2", "2", None, "1", "2"], site=["b"] * 6))
    assert [row["value"] for row in count_values(made, "skin_type")][::2] == ["1", "2", "6"]
    assert [row["num_images"] for row in count_values(made, "site")] == [3, 1, 2]


def test_count_pairs_is_not_asked_of_classes_or_of_thousands_of_labels(manifest, make_manifest):
    assert count_pairs(replace(manifest, task="multiclass")) == []
    assert count_pairs(make_manifest(["a"], "train", np.ones((1, MAX_PAIR_LABELS + 1)))) == []
    assert len(count_pairs(make_manifest(["a"], "train", np.ones((1, MAX_PAIR_LABELS))))) == MAX_PAIR_LABELS**2


def test_count_ages_groups_by_ten_years(manifest):
    rows = count_ages(manifest)
    names = list(dict.fromkeys(row["value"] for row in rows))
    assert names == [f"{start}-{start + 9}" for start in range(0, 90, 10)] + ["90+"]
    counts = {(row["split"], row["value"]): row["num_images"] for row in rows if row["num_images"]}
    assert counts == {
        ("train", "0-9"): 1, ("train", "20-29"): 2, ("val", "90+"): 1, ("test", "20-29"): 1,
    }  # fmt: skip


def test_count_pairs_gives_shares_of_the_first_label(manifest):
    rows = {(row["label"], row["other"]): row for row in count_pairs(manifest)}
    assert rows["label_0", "label_0"]["num_images"] == 3
    assert (rows["label_0", "label_1"]["num_images"], rows["label_0", "label_1"]["share"]) == (1, 1 / 3)
    assert rows["label_1", "label_0"]["share"] == 1 / 2
