"""The maps that a finished run leaves behind, so that Explain shows the first images at once."""

from pathlib import Path

import pytest
from toy_set import make_config, register_toy, train

from medpeft_core.explain import first_maps
from medpeft_core.explain.first_maps import draw_first_maps
from medpeft_core.explain.stored import read_answer
from medpeft_core.reports.predictions import load_predictions, sort_cases
from medpeft_core.runs.run import Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    register_toy(monkeypatch, tmp_path / "toy")
    return train(make_config(train={"epochs": 1}))


def test_first_maps_are_those_that_a_visitor_sees_first(run: Run) -> None:
    num_drawn = draw_first_maps(run, should_stop=lambda: False)
    predictions = load_predictions(run)
    first = {
        (int(row), int(label))
        for images in sort_cases(predictions).values()
        for row, label in list(zip(images.rows, images.labels, strict=True))[: first_maps.IMAGES_PER_CASE]
    }
    assert num_drawn == len(first) >= 2
    for row, image in enumerate(predictions.table["image"]):
        for number, label in enumerate(predictions.labels):
            assert (read_answer(run, image, label) is not None) == ((row, number) in first)


def test_first_maps_stop_when_they_are_told_to_or_take_too_long(run: Run) -> None:
    assert draw_first_maps(run, should_stop=lambda: True) == 0
    assert draw_first_maps(run, should_stop=lambda: False, budget_s=-1) == 0
