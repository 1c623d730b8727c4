"""What a data set marks in an image, and how well a map falls on it, in numbers worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.errors import DataError
from medpeft_core.explain.marks import compute_localisation, fill_boxes, find_marks

LABELS = ("Effusion", "Nodule", "Mass")
SIZE = (4, 6)  # height, width


def make_manifest(folder: Path, *, task: str = "multilabel", labels: tuple[str, ...] = LABELS, **columns: object):
    table = pd.DataFrame(
        {"image": ["a.png"], "patient_id": ["p"], "split": ["test"], **{k: [v] for k, v in columns.items()}}
    )
    for position, label in enumerate(labels):
        table[label] = float(position == 1)
    return Manifest(dataset="toy", task=task, labels=labels, image_root=folder, table=table)


def save_mask(folder: Path, values: np.ndarray) -> str:
    Image.fromarray(values.astype(np.uint8)).save(folder / "mask.png")
    return "mask.png"


def test_marks_of_a_mask_are_its_bits(tmp_path: Path) -> None:
    values = np.zeros(SIZE)
    values[0, 0], values[1, 1], values[2, 2], values[3, 3] = 1, 2, 3, 128  # the last is no finding: a shortcut
    marks = find_marks(make_manifest(tmp_path, mask=save_mask(tmp_path, values)), "a.png", SIZE)
    assert [(mark.label, mark.kind) for mark in marks] == [("Effusion", "mask"), ("Nodule", "mask")]
    assert np.argwhere(marks[0].inside).tolist() == [[0, 0], [2, 2]]
    assert np.argwhere(marks[1].inside).tolist() == [[1, 1], [2, 2]]


def test_marks_of_a_mask_are_scaled_to_the_image(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, mask=save_mask(tmp_path, np.array([[1, 0], [0, 0]])))
    (mark,) = find_marks(manifest, "a.png", SIZE)
    assert mark.inside.sum() == 6
    assert mark.inside[:2, :3].all()


@pytest.mark.parametrize(
    ("task", "labels", "expected"), [("multiclass", LABELS, "Nodule"), ("multilabel", ("Nothing", "Lesion"), None)]
)
def test_marks_where_an_image_has_one_label(
    tmp_path: Path, task: str, labels: tuple[str, ...], expected: str | None
) -> None:
    """A mask of 0 and 255, as most sets have it, marks the image's own class and not the first eight labels."""
    manifest = make_manifest(tmp_path, task=task, labels=labels, mask=save_mask(tmp_path, 255 * np.ones(SIZE)))
    found = [mark.label for mark in find_marks(manifest, "a.png", SIZE)]
    assert found == ([expected] if expected else list(labels))


def test_marks_prefer_a_mask_to_boxes(tmp_path: Path) -> None:
    boxes = [
        {"label": "Mass", "x": 1, "y": 0, "width": 2, "height": 3},
        {"label": "Mass", "x": 5, "y": 3, "width": 9, "height": 9},  # reaches beyond the image
        {"label": "Nodule", "x": 0, "y": 0, "width": 6, "height": 4},
        {"label": "Unknown", "x": 0, "y": 0, "width": 6, "height": 4},
    ]
    values = np.zeros(SIZE)
    values[0, 0] = 2
    manifest = make_manifest(tmp_path, mask=save_mask(tmp_path, values), boxes=json.dumps(boxes))
    nodule, mass = find_marks(manifest, "a.png", SIZE)
    assert (nodule.label, nodule.kind, nodule.inside.sum()) == ("Nodule", "mask", 1)
    assert (mass.label, mass.kind, mass.inside.sum()) == ("Mass", "box", 7)
    assert mass.boxes == ((1, 0, 2, 3), (5, 3, 9, 9))


@pytest.mark.parametrize("columns", [{}, {"mask": None}, {"boxes": None}, {"boxes": "[]"}, {"boxes": float("nan")}])
def test_marks_of_an_unmarked_image_are_none(tmp_path: Path, columns: dict) -> None:
    assert find_marks(make_manifest(tmp_path, **columns), "a.png", SIZE) == []


@pytest.mark.parametrize("columns", [{"mask": "gone.png"}, {"boxes": "[{]"}, {"boxes": '[{"label": "Mass", "x": 1}]'}])
def test_marks_that_cannot_be_read_are_told(tmp_path: Path, columns: dict) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        find_marks(make_manifest(tmp_path, **columns), "a.png", SIZE)


def test_fill_boxes_cuts_at_the_border() -> None:
    inside = fill_boxes([(-1, -1, 2, 2), (4.6, 2.4, 10, 10)], SIZE)
    assert np.argwhere(inside).tolist() == [[0, 0], [2, 5], [3, 5]]


def test_localisation_by_hand() -> None:
    """A map of 1, 2, 3 and 4 on four places, of which the model saw all, and a finding on the last two."""
    cam = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32) / 4
    found = compute_localisation(cam, np.array([[False, False], [True, True]]), (0, 0, 2, 2))
    assert found == {"share": pytest.approx(7 / 10), "chance": 0.5, "is_hit": True}
    found = compute_localisation(cam, np.array([[True, True], [True, False]]), (0, 0, 2, 2))
    assert found == {"share": pytest.approx(6 / 10), "chance": 0.75, "is_hit": False}


def test_localisation_counts_what_the_model_saw() -> None:
    """The model saw the middle two of four columns: a quarter of that is half a column of the image."""
    cam = np.zeros((2, 4), np.float32)
    cam[:, 1:3] = 1
    inside = np.zeros((2, 4), bool)
    inside[0, :2] = True
    found = compute_localisation(cam, inside, (0, 1, 2, 2))
    assert found == {"share": pytest.approx(0.25), "chance": 0.25, "is_hit": True}


def test_localisation_of_what_the_model_did_not_see_is_none() -> None:
    cam, inside = np.zeros((2, 4), np.float32), np.zeros((2, 4), bool)
    cam[:, 1:3], inside[:, 0] = 1, True
    assert compute_localisation(cam, inside, (0, 1, 2, 2)) is None
    assert compute_localisation(np.zeros((2, 4), np.float32), ~inside, (0, 1, 2, 2)) is None


def test_an_even_map_scores_what_chance_would() -> None:
    inside = np.random.default_rng(0).random((20, 30)) < 0.2
    found = compute_localisation(np.full((20, 30), 0.5, np.float32), inside, (0, 0, 20, 30))
    assert found is not None
    assert found["share"] == pytest.approx(found["chance"])
