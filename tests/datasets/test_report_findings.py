"""The data report in words: what is told, how serious it is called, and what to do."""

import numpy as np
import pytest

from medpeft_core.datasets.fractions import count_positives
from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.datasets.report_findings import list_advice, list_findings
from medpeft_core.datasets.splits import UNCHECKED_NOTE

NOTHING_WRONG = {
    "overlap": {"num_patients": 0},
    "unreadable": {"total": 0, "num_missing": 0},
    "duplicates": {"num_groups_within": 0, "num_groups_across": 0},
    "pixels": {"num_changed_in_decoding": 0, "changes": []},
    "has_unreadable": False,
}


def find(manifest, **facts):
    """Findings of a manifest, by severity: the texts."""
    table = manifest.table
    counts = {name: count_positives(manifest, np.flatnonzero((table["split"] == name).to_numpy())) for name in SPLITS}
    found = list_findings(manifest, counts, {**NOTHING_WRONG, **facts})
    texts = {severity: [] for severity in ("problem", "warning", "note", "fine")}
    for item in found:
        texts[item.severity].append(item.text)
    return texts


@pytest.fixture
def make_set(make_manifest):
    """`make_set(train, val, test)` from shares of positives, with 1,000, 200 and 200 images."""

    def make(*shares: float, sizes=(1000, 200, 200)):
        targets = np.concatenate(
            [np.arange(size)[:, None] < share * size for share, size in zip(shares, sizes, strict=True)]
        )
        splits = [name for name, size in zip(SPLITS, sizes, strict=True) for _ in range(size)]
        return make_manifest([f"p{row}" for row in range(len(targets))], splits, targets)

    return make


def test_list_findings_of_a_good_set_says_what_was_checked(make_set):
    assert find(make_set(0.3, 0.3, 0.3)) == {
        "problem": [],
        "warning": [],
        "note": [],
        "fine": [
            "No patient is in more than one split.",
            "Every image is there and can be read.",
            "No two images are identical.",
        ],
    }


def test_list_findings_tells_a_shift_between_splits(make_set):
    assert find(make_set(0.3, 0.3, 0.5))["warning"] == [
        "Labels are not equally frequent in train and test: label_0 30% and 50%."
    ]


def test_list_findings_takes_a_small_difference_for_chance(make_set):
    assert find(make_set(0.3, 0.3, 0.34))["warning"] == []


def test_list_findings_tells_few_positives_once_for_all_labels(make_set):
    found = find(make_set(0.005, 0.02, 0.3))["warning"]
    assert "Few positive images in train: label_0 5." in found
    assert "Few positive images in val: label_0 4." in found
    assert not any("in test:" in text and "Few" in text for text in found)


def test_list_findings_tells_a_label_that_cannot_be_learned_or_measured(make_set):
    found = find(make_set(0.0, 1.0, 0.3))["warning"]
    assert "label_0 has no positive image in train; the output stays, but cannot learn." in found
    assert "label_0 has only one class in val, so its AUROC cannot be computed there." in found


def test_list_findings_tells_small_splits(make_set):
    found = find(make_set(0.5, 0.5, 0.5, sizes=(1000, 77, 99)))["warning"]
    assert [text.split(":")[0] for text in found] == ["Val holds only 77 images", "Test holds only 99 images"]


def test_list_findings_calls_what_training_refuses_a_problem(make_set):
    found = find(
        make_set(0.3, 0.3, 0.3),
        overlap={"num_patients": 2},
        unreadable={"total": 3, "num_missing": 1},
        has_unreadable=True,
    )
    assert found["problem"] == [
        "2 patients are in more than one split, which makes results too good.",
        "3 images cannot be read: 1 missing and 2 damaged.",
    ]
    left_out = find(make_set(0.3, 0.3, 0.3), unreadable={"total": 1, "num_missing": 1})
    assert left_out["note"] == ["1 image cannot be read: 1 missing. They were left out."]


def test_list_findings_tells_an_empty_split_first(make_manifest):
    found = find(make_manifest(["a", "b"], ["train", "test"]))
    assert found["problem"] == ["There are no val images; training needs some in every split."]


def test_list_findings_warns_where_patients_are_not_known(make_manifest):
    found = find(make_manifest([None] * 3, ["train", "val", "test"]))
    assert UNCHECKED_NOTE in found["warning"]
    assert not any("more than one split" in text for text in found["fine"])


def test_list_findings_tells_ages_that_nobody_can_have(make_set):
    manifest = make_set(0.3, 0.3, 0.3)
    odd = manifest.with_table(manifest.table.assign(age=[411.0, -3.0, *[50.0] * 1398]))
    assert find(odd)["warning"] == ["2 images state ages that nobody can have, for example 411 years."]


def test_list_findings_puts_a_single_double_image_last(make_set):
    """One pair of identical images among thousands stood above labels that a model could guess from the view."""
    manifest = make_set(0.005, 0.3, 0.3)
    duplicates = {"num_groups_within": 0, "num_groups_across": 1}
    assert find(manifest, duplicates=duplicates)["warning"][-1].startswith("Identical images lie in different splits")
    many = {"num_groups_within": 0, "num_groups_across": 14}
    assert find(manifest, duplicates=many)["warning"][0].startswith("Identical images lie in different splits")


def test_list_findings_passes_on_how_the_data_were_read(make_set):
    manifest = make_set(0.3, 0.3, 0.3)
    noted = manifest.with_table(manifest.table, note="50 of 60 images are not on disk; they were left out.")
    assert find(noted)["note"] == ["50 of 60 images are not on disk; they were left out."]


def test_list_advice_gives_problems_and_warnings_with_what_to_do(make_set):
    manifest = make_set(0.3, 0.3, 0.3)
    counts = {name: count_positives(manifest, np.arange(10)) for name in SPLITS}
    facts = {**NOTHING_WRONG, "overlap": {"num_patients": 1}}
    first, *rest = list_advice(list_findings(manifest, counts, facts))
    assert first.startswith("1 patient is in more than one split, which makes results too good. Split anew")
    assert not any("identical" in text for text in rest)


def test_list_findings_does_not_name_a_hundred_labels_in_one_sentence(make_manifest):
    """With 114 classes a warning filled two screens with their names."""
    targets = np.zeros((300, 114))
    targets[:, 0] = 1
    found = find(make_manifest([f"p{row}" for row in range(300)], ["train"] * 100 + ["val", "test"] * 100, targets))
    text = next(text for text in found["warning"] if "no positive image in train" in text)
    assert text.startswith("label_1, label_2, ")
    assert "label_14 and 99 more have no positive image in train" in text
    assert "label_15" not in " ".join(found["warning"])
