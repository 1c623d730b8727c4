"""The data report: its counts, its advice, and its text."""

import json

import numpy as np
import pytest

from medpeft_core.datasets.nih import SPEC
from medpeft_core.datasets.pixels import build_pixel_cache
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.report import DataReport
from medpeft_core.datasets.report_build import build_report


@pytest.fixture
def report_on(home, save_image):
    """`report_on(manifest, pixels)` builds a cache of the given images and reports on both."""

    def report(manifest, pixels: list[np.ndarray]) -> DataReport:
        paths = [save_image(f"{row:05d}.png", image) for row, image in enumerate(pixels)]
        cache = build_pixel_cache(paths, cache_size=16, folder=home / "pixels", progress=ignore_progress)
        return build_report(SPEC, manifest, cache, cache_rows=np.arange(len(manifest)), unreadable={})

    return report


def make_pixels(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 20, 30), np.uint8))


def test_build_report_counts_by_split_and_label(make_manifest, report_on):
    targets = np.array([[1, 0], [1, np.nan], [0, np.nan], [0, 1], [1, 1], [0, 0]])
    splits = ["train", "train", "train", "val", "test", "test"]
    report = report_on(make_manifest(["a", "a", "b", "c", "d", "e"], splits, targets), make_pixels(6))
    assert report.splits["train"] == {"num_images": 3, "num_patients": 2}
    assert report.num_patients == 5
    assert report.labels["label_0"]["train"] == {
        "num_images": 3,
        "num_positive": 2,
        "num_negative": 1,
        "prevalence": 2 / 3,
    }
    assert report.labels["label_1"]["train"] == {
        "num_images": 1,
        "num_positive": 0,
        "num_negative": 1,
        "prevalence": 0.0,
    }
    assert report.age is report.sex is report.view is None
    assert report.pixels["most_common_source_size"] == [20, 30]


def test_build_report_writes_unknown_prevalence_as_null(make_manifest, report_on):
    report = report_on(make_manifest(["a", "b"], ["train", "test"], np.full((2, 1), np.nan)), make_pixels(2))
    assert report.labels["label_0"]["train"]["prevalence"] is None
    json.dumps(report.to_dict(), allow_nan=False)


def test_build_report_finds_identical_images_within_and_across_splits(make_manifest, report_on):
    pixels = make_pixels(6)
    pixels[1] = pixels[0]
    pixels[5] = pixels[2]
    splits = ["train", "train", "train", "val", "val", "test"]
    report = report_on(make_manifest(list("abcdef"), splits), pixels)
    assert (report.duplicates["num_groups_within"], report.duplicates["num_groups_across"]) == (1, 1)
    assert report.duplicates["num_images"] == 4
    assert report.duplicates["examples"][0] == [
        {"image": "00002.png", "split": "train"}, {"image": "00005.png", "split": "test"},
    ]  # fmt: skip
    assert any("different splits" in sentence for sentence in report.advice)
    assert "identical: 00002.png (train), 00005.png (test)" in report.to_text()


def test_build_report_cuts_lists_of_names_but_not_counts(make_manifest, report_on):
    manifest = make_manifest([f"p{n % 30}" for n in range(60)], ["train"] * 30 + ["test"] * 30)
    report = report_on(manifest, make_pixels(30) * 2)
    assert report.overlap["num_patients"] == report.duplicates["num_groups_across"] == 30
    assert len(report.overlap["examples"]) == len(report.duplicates["examples"]) == 20


def test_build_report_describes_people(make_manifest, report_on):
    manifest = make_manifest(list("abcd"), ["train", "train", "val", "test"])
    table = manifest.table.assign(
        age=[20.0, 40.0, 90.0, np.nan], sex=["F", "M", "F", None], view=["PA", "AP", "PA", "PA"]
    )
    report = report_on(manifest.with_table(table), make_pixels(4))
    assert report.age == {"num_known": 3, "min": 20, "median": 40, "mean": 50, "max": 90}
    assert report.sex == {"F": 2, "M": 1, "not known": 1}
    assert report.view == {"PA": 3, "AP": 1}
    assert "20 to 90 years, median 40" in report.to_text()


def test_build_report_warns_of_a_view_that_tells_the_label(make_manifest, report_on):
    view = np.array(["PA", "AP"] * 60)
    targets = np.stack([view == "PA", np.arange(120) % 4 < 2], axis=1)
    manifest = make_manifest([f"p{n}" for n in range(120)], ["train"] * 60 + ["val"] * 30 + ["test"] * 30, targets)
    related = report_on(manifest.with_table(manifest.table.assign(view=view)), make_pixels(120))
    assert any(text.startswith("View and label are related. Positive in ") for text in related.advice)
    unrelated = manifest.with_table(manifest.table.assign(view=np.repeat(["PA", "AP"], 60)))
    assert not any("View" in sentence for sentence in report_on(unrelated, make_pixels(120)).advice)


def test_build_report_advises_on_labels_that_cannot_be_measured(make_manifest, report_on):
    targets = np.zeros((40, 1))
    targets[:15] = 1
    manifest = make_manifest([f"p{n}" for n in range(40)], ["train"] * 20 + ["val"] * 10 + ["test"] * 10, targets)
    advice = report_on(manifest, make_pixels(40)).advice
    assert "label_0 has only one class in val, so its AUROC cannot be computed there." in advice
    assert "label_0 has only one class in test, so its AUROC cannot be computed there." in advice


def test_data_report_text_is_aligned_and_says_synthetic(make_manifest, report_on):
    report = report_on(make_manifest(list("abc"), ["train", "val", "test"]), make_pixels(3))
    assert "SYNTHETIC" not in report.to_text()
    made = DataReport(**{**report.to_dict(), "is_synthetic": True})
    assert "SYNTHETIC: made by a program" in made.to_text().splitlines()[0]
    lines = made.to_text().splitlines()
    start = lines.index("split  images  patients")
    assert lines[start + 1 : start + 4] == [
        "train       1         1",
        "val         1         1",
        "test        1         1",
    ]


def test_data_report_text_without_patients(make_manifest, report_on):
    report = report_on(make_manifest([None, None, None], ["train", "val", "test"]), make_pixels(3))
    assert report.num_patients is None
    assert "not checked, no patient ids" in report.to_text()
