"""Curves of a pre-training: valid Vega-Lite that holds the stored numbers and stands still while data grow."""

import altair
import pytest

from medpeft_core.figures.pretraining import (
    EPOCH_NAME,
    ERROR_NAME,
    KEPT_NAME,
    STEP_NAME,
    build_pretrain_loss_curve,
    build_rebuilt_curve,
    compute_rebuilt_share,
)
from medpeft_core.figures.series import MAX_POINTS
from medpeft_core.reports.pictures import render_png

EPOCHS, STEPS_PER_EPOCH = 8, 10
PLAN = {"epochs": EPOCHS, "num_steps": EPOCHS * STEPS_PER_EPOCH}


def make_history(epochs_done, *, steps_per_epoch=STEPS_PER_EPOCH):
    """Events as the loop emits them: an untrained picture first."""
    history = [{"type": "rebuilt", "epoch": 0, "step": 0, "masked_error": 1.8, "mean_fill_error": 0.9}]
    for epoch in range(1, epochs_done + 1):
        for number in range(1, steps_per_epoch + 1):
            step = (epoch - 1) * steps_per_epoch + number
            history.append({"type": "step", "epoch": epoch, "step": step, "loss": 1 / step, "lr": 1e-4})
        shared = {"epoch": epoch, "step": epoch * steps_per_epoch}
        history.append({"type": "epoch", **shared, "train_loss": 1 / epoch})
        history.append({"type": "rebuilt", **shared, "masked_error": 0.9 / epoch, "mean_fill_error": 0.9})
    return history


def rows_of(spec, name):
    return [row for row in spec["data"]["values"] if row["series"] == name]


@pytest.mark.parametrize("build", [build_pretrain_loss_curve, build_rebuilt_curve])
@pytest.mark.parametrize("epochs_done", [0, 1, 3])
def test_curves_are_valid_vega_lite_from_the_first_step_on(build, epochs_done):
    altair.TopLevelSpec.validate(build(make_history(epochs_done), **PLAN))
    altair.TopLevelSpec.validate(build([], epochs=None))


def test_loss_curve_holds_steps_means_and_kept_encoders():
    spec = build_pretrain_loss_curve(make_history(3), **PLAN, kept_epochs={2})
    assert len(rows_of(spec, STEP_NAME)) == 3 * STEPS_PER_EPOCH
    assert [(row["epoch"], row["value"]) for row in rows_of(spec, EPOCH_NAME)] == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert [row["epoch"] for row in rows_of(spec, KEPT_NAME)] == [2]


def test_loss_curve_stays_the_same_spec_while_data_grow():
    """A browser redraws a chart whose spec changes, which flickers at each tick."""
    first, later = (build_pretrain_loss_curve(make_history(done), **PLAN, kept_epochs={1}) for done in (1, 5))
    assert {**first, "data": None} == {**later, "data": None}


def test_loss_curve_of_a_long_pretraining_is_thinned():
    history = make_history(60, steps_per_epoch=20)
    assert len(rows_of(build_pretrain_loss_curve(history, epochs=60), STEP_NAME)) <= MAX_POINTS


def test_rebuilt_curve_is_a_share_of_the_guess():
    rows = rows_of(build_rebuilt_curve(make_history(2), **PLAN), ERROR_NAME)
    assert [(row["epoch"], round(row["value"], 6)) for row in rows] == [(0, 2.0), (1, 1.0), (2, 0.5)]


def test_rebuilt_curve_shows_errors_above_the_guess():
    high = build_rebuilt_curve(make_history(2), **PLAN)["encoding"]["y"]["scale"]["domain"]
    assert high[0] == 0
    assert high[1] > 2


@pytest.mark.parametrize(
    "event", [{}, {"masked_error": None, "mean_fill_error": 1.0}, {"masked_error": 1.0, "mean_fill_error": 0.0}]
)
def test_rebuilt_share_is_none_without_both_errors(event):
    assert compute_rebuilt_share(event) is None


def test_loss_curve_can_be_drawn():
    spec = build_pretrain_loss_curve(make_history(2), **PLAN, kept_epochs={2})
    assert render_png({**spec, "width": 600}).startswith(b"\x89PNG")
