"""The honest line about a run at work."""

import pytest

from medpeft_core.runs.states import RunState
from pages.widgets.run_status import compute_share, describe_status
from pages.widgets.wording import escape_markdown

NOW = 1_000_000.0


def describe(*, heard_s=1.0, is_stopping=False, **fields):
    state = RunState(status="running", **{"updated_at": NOW, **fields})
    return describe_status(state, last_beat=NOW - heard_s, is_stopping=is_stopping, now=NOW)


def test_line_tells_phase_step_and_time_left():
    line = describe(phase="epoch 3 of 10", epoch=3, epochs=10, step=50, num_steps=200, eta_s=125.0)
    assert line.parts == ("epoch 3 of 10", "step 50 of 200", "about 2 min 5 s left")
    assert line.share == 0.25
    assert line.warning is None


def test_line_tells_the_epoch_where_the_phase_does_not():
    line = describe(phase="evaluating val, 64 of 400 images", epoch=3, epochs=10, step=50, num_steps=200)
    assert line.parts[:2] == ("evaluating val, 64 of 400 images", "epoch 3 of 10")


def test_line_counts_the_time_since_the_estimate():
    line = describe(phase="epoch 1 of 2", eta_s=60.0, updated_at=NOW - 20)
    assert line.parts[-1] == "about 40 s left"


def test_line_promises_nothing_when_the_estimate_is_used_up_or_nothing_is_heard():
    assert describe(phase="epoch 1 of 2", eta_s=5.0, updated_at=NOW - 20).parts == ("epoch 1 of 2",)
    assert describe(phase="epoch 1 of 2", eta_s=500.0, heard_s=40).parts == ("epoch 1 of 2",)


def test_line_warns_after_15_s_of_silence():
    assert describe(phase="epoch 1 of 2", heard_s=14).warning is None
    assert describe(phase="epoch 1 of 2", heard_s=16).warning is not None
    line = describe(phase="epoch 1 of 2", heard_s=40)
    assert line.warning.startswith("Nothing heard for 40 s: the worker may be swapping or suspended.")


def test_line_says_at_once_that_it_stops():
    line = describe(phase="epoch 1 of 2", is_stopping=True, eta_s=60.0)
    assert line.parts == ("Stopping after this batch, with a checkpoint", "epoch 1 of 2")


@pytest.mark.parametrize(
    ("fields", "share"),
    [
        ({}, 0.0),
        ({"phase": "decoding images, 12 of 48"}, 0.25),
        ({"phase": "epoch 3 of 10"}, 0.0),
        ({"phase": "evaluating test, 1 of 4 images", "step": 30, "num_steps": 30}, 1.0),
        ({"phase": "epoch 2 of 3", "step": 10, "num_steps": 30}, 1 / 3),
    ],
)
def test_share_counts_steps_or_what_comes_before_them(fields, share):
    assert compute_share(RunState(status="running", **fields)) == pytest.approx(share)


def test_escape_markdown_leaves_nothing_to_interpret():
    assert escape_markdown("a_b [x](y) :red[z] <b>") == r"a\_b \[x\]\(y\) \:red\[z\] \<b\>"
