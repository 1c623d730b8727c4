"""The maps that a finished run leaves behind, so that Explain shows the first images at once."""

from pathlib import Path

import pytest
from toy_set import make_config, register_toy, train

from medpeft_core.explain import first_maps
from medpeft_core.explain.first_maps import draw_first_maps
from medpeft_core.explain.stored import read_answer
from medpeft_core.reports.predictions import CASES, choose_labels, load_predictions, sort_cases
from medpeft_core.runs.run import Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    register_toy(monkeypatch, tmp_path / "toy")
    return train(make_config(train={"epochs": 1}))


def test_first_maps_are_those_that_a_visitor_sees_first(run: Run) -> None:
    num_drawn = draw_first_maps(run, should_stop=lambda: False)
    predictions = load_predictions(run)
    labels = choose_labels(predictions)
    first = {int(row) for case in CASES for row in sort_cases(predictions, case)[: first_maps.IMAGES_PER_CASE]}
    assert num_drawn == len(first) >= 2
    for row, image in enumerate(predictions.table["image"]):
        answer = read_answer(run, image, predictions.labels[labels[row]])
        assert (answer is not None) == (row in first)


def test_first_maps_stop_when_they_are_told_to_or_take_too_long(run: Run) -> None:
    assert draw_first_maps(run, should_stop=lambda: True) == 0
    assert draw_first_maps(run, should_stop=lambda: False, budget_s=-1) == 0
