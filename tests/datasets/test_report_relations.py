"""Shortcuts that a data report warns of: views that go with labels, and labels that never come without another one."""

import numpy as np
import pytest

from medpeft_core.datasets.report_relations import find_inseparable_labels, find_related_views


@pytest.fixture
def make_labels(make_manifest):
    """A set in train from its targets (N, K)."""

    def make(targets):
        targets = np.asarray(targets, dtype=float)
        return make_manifest([f"p{row}" for row in range(len(targets))], ["train"] * len(targets), targets)

    return make


def find_texts(manifest):
    return [item.text for item in find_inseparable_labels(manifest)]


def test_related_views_names_all_labels_with_the_worst_first(make_labels):
    """The warning named one label, where three were more frequent in one view than in the other."""
    targets = np.zeros((200, 4))
    targets[:60, 0] = 1  # 60 % of AP
    targets[:90, 1] = 1  # 90 % of AP
    targets[95:125, 2] = 1  # 5 % of AP, 25 % of PA
    targets[[0, 100], 3] = 1
    manifest = make_labels(targets)
    (found,) = find_related_views(manifest.with_table(manifest.table.assign(view=["AP"] * 100 + ["PA"] * 100)))
    assert found.text == (
        "View and label are related. Positive in AP and PA images: label_1 90% and 0%, label_0 60% and 0%, "
        "label_2 5% and 25%."
    )


def test_inseparable_labels_finds_the_label_that_all_others_come_with(make_labels):
    """Every image with a finding was also Pneumonia, and the report did not say so."""
    targets = np.zeros((100, 4))
    targets[:60, 3] = 1
    targets[:20, 0] = targets[15:40, 1] = targets[40:45, 2] = 1  # the last one is too rare to count by itself
    assert find_texts(make_labels(targets)) == ["Each of the 45 images with any other label is also label_3."]


def test_inseparable_labels_names_those_that_never_come_alone(make_labels):
    targets = np.zeros((100, 4))
    targets[:60, 3] = 1
    targets[:20, 0] = targets[15:40, 1] = targets[50:80, 2] = 1
    assert find_texts(make_labels(targets)) == ["Every image with label_0 (20) or label_1 (25) is also label_3."]


def test_inseparable_labels_finds_two_that_are_one(make_labels):
    targets = np.zeros((100, 2))
    targets[:30] = 1
    assert find_texts(make_labels(targets)) == ["label_0 and label_1 are always positive together (in 30 images)."]


@pytest.mark.parametrize("num_images", [9, 10])
def test_inseparable_labels_leaves_rare_labels_to_chance(make_labels, num_images):
    targets = np.zeros((100, 2))
    targets[:num_images, 0] = targets[:50, 1] = 1
    assert len(find_texts(make_labels(targets))) == (num_images == 10)


def test_inseparable_labels_passes_over_a_label_that_all_images_have(make_labels):
    targets = np.ones((100, 2))
    targets[50:, 0] = 0
    assert find_texts(make_labels(targets)) == []


def test_inseparable_labels_looks_at_known_labels_only(make_labels):
    targets = np.zeros((100, 2))
    targets[:30, 0] = targets[:20, 1] = 1
    targets[30:40, 1] = 1
    targets[20:30, 1] = np.nan
    assert find_texts(make_labels(targets)) == ["Every image with label_0 (20) is also label_1."]
    targets[25, 1] = 0
    assert find_texts(make_labels(targets)) == []
