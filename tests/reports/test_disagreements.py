"""Two runs on the same test images: where their calls differ, and when they cannot be laid beside each other."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.reports.disagreements import Pair, pair_predictions, sort_disagreements
from medpeft_core.reports.predictions import Predictions
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

THRESHOLDS = {"Effusion": 0.5, "Nodule": 0.1}


def make_predictions(probs: dict[str, list[float]], images: str, thresholds: dict | None = None) -> Predictions:
    columns: dict[str, list] = {"image": list(images), "patient_id": list(images)}
    for label, values in probs.items():
        columns[f"prob_{label}"] = values
        columns[f"target_{label}"] = [0.0] * len(values)
    return Predictions(table=pd.DataFrame(columns), labels=tuple(probs), thresholds=thresholds or THRESHOLDS)


def make_runs(home: Path, *datas: dict) -> list[Run]:
    store = RunStore(home)
    return [store.create(RunConfig.from_dict({"data": data}), provenance={}) for data in datas]


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    return make_runs(tmp_path, {"dataset": "phantom"}, {"dataset": "phantom"})


@pytest.fixture
def pair(runs: list[Run]) -> Pair:
    """The second run has its images in another order, and lacks image d."""
    first = make_predictions({"Effusion": [0.9, 0.6, 0.4, 0.8], "Nodule": [0.05, 0.05, 0.3, 0.0]}, "abcd")
    second = make_predictions({"Nodule": [0.2, 0.04, 0.8], "Effusion": [0.1, 0.55, 0.3]}, "cba")
    return pair_predictions(runs[0], first, runs[1], second)


def test_pair_finds_the_same_image_in_both(pair: Pair) -> None:
    assert pair.partners.tolist() == [2, 1, 0, -1]
    assert pair.labels == ("Effusion", "Nodule")
    (note,) = pair.notes
    assert "4 and 3 images, 3 of them in both" in note


@pytest.mark.parametrize(
    ("label", "rows", "labels"),
    [
        ("Effusion", [0], [0]),  # 0.9 against 0.3
        ("Nodule", [0], [1]),  # 0.05 against 0.8; image c is called by both
        (None, [0], [1]),  # the nodule differs more
        ("Mass", [], []),
    ],
)
def test_sort_disagreements_compares_calls(pair: Pair, label: str | None, rows: list[int], labels: list[int]) -> None:
    found = sort_disagreements(pair, label)
    assert (found[0].tolist(), found[1].tolist()) == (rows, labels)


def test_sort_disagreements_puts_the_largest_difference_first(runs: list[Run]) -> None:
    first = make_predictions({"Effusion": [0.6, 0.9, 0.55, 0.7]}, "abcd")
    second = make_predictions({"Effusion": [0.4, 0.1, 0.45, 0.69]}, "abcd", {"Effusion": 0.5})
    rows, _ = sort_disagreements(pair_predictions(runs[0], first, runs[1], second))
    assert rows.tolist() == [1, 0, 2]  # image d is called by both


def test_sort_disagreements_judges_each_run_by_its_own_threshold(runs: list[Run]) -> None:
    first = make_predictions({"Effusion": [0.3, 0.3]}, "ab", {"Effusion": 0.2})
    second = make_predictions({"Effusion": [0.3, 0.5]}, "ab", {"Effusion": 0.4})
    rows, _ = sort_disagreements(pair_predictions(runs[0], first, runs[1], second))
    assert rows.tolist() == [0]  # equal probabilities, but only one of the two says yes


def test_sort_disagreements_makes_no_call_without_a_threshold(runs: list[Run]) -> None:
    first = make_predictions({"Effusion": [0.9]}, "a", {"Effusion": None})
    second = make_predictions({"Effusion": [0.1]}, "a")
    assert len(sort_disagreements(pair_predictions(runs[0], first, runs[1], second))[0]) == 0


def test_pair_tells_labels_that_one_run_lacks(runs: list[Run]) -> None:
    first = make_predictions({"Effusion": [0.9], "Nodule": [0.1]}, "a")
    second = make_predictions({"Effusion": [0.1], "Mass": [0.2]}, "a")
    pair = pair_predictions(runs[0], first, runs[1], second)
    assert pair.labels == ("Effusion",)
    assert pair.notes == ("Known to one of the runs only: Nodule, Mass.",)


@pytest.mark.parametrize(
    ("data", "images", "label", "message"),
    [
        ({"dataset": "phantom_shortcut"}, "a", "Effusion", "different data: phantom and phantom_shortcut"),
        ({"dataset": "phantom", "options": {"seed": 3}}, "a", "Effusion", "phantom with other options"),
        ({"dataset": "phantom"}, "z", "Effusion", "no test image in common"),
        ({"dataset": "phantom"}, "a", "Mass", "no label in common"),
    ],
)
def test_pair_refuses_what_cannot_be_compared(
    tmp_path: Path, data: dict, images: str, label: str, message: str
) -> None:
    """Image 12 of one synthetic set is another picture than image 12 of the next."""
    first, second = make_runs(tmp_path, {"dataset": "phantom"}, data)
    with pytest.raises(RunError, match=message):
        pair_predictions(
            first, make_predictions({"Effusion": [0.5]}, "a"), second, make_predictions({label: [0.5]}, images)
        )


def test_pair_of_equal_sets_has_no_notes(runs: list[Run]) -> None:
    item = make_predictions({"Effusion": [0.5, 0.6]}, "ab")
    pair = pair_predictions(runs[0], item, runs[1], item)
    assert pair.notes == ()
    assert np.array_equal(pair.partners, [0, 1])
