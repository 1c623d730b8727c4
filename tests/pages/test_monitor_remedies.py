"""From how a run ended to the button that mends it; the messages are those that the core really gives."""

from pathlib import Path

import pytest
from stored_runs import make_config

from medpeft_core.runs.disk import describe_full_disk
from medpeft_core.runs.store import DEATH_MESSAGE, WAITER_DEATH_MESSAGE
from medpeft_core.training.loss import build_not_finite_error
from medpeft_core.worker.failures import describe_failure
from pages.widgets.monitor_remedies import diagnose

ROOT = Path(__file__).resolve().parent.parent.parent


def diagnose_failure(error, config=None, *, has_checkpoint=True):
    return diagnose("failed", error, config or make_config({}), has_checkpoint=has_checkpoint)


def describe_memory(batch_size):
    return describe_failure(MemoryError(), folder=Path("run"), device="cpu", batch_size=batch_size).text


def test_memory_is_mended_by_half_the_batch_and_the_same_effective_one():
    config = make_config({"train": {"batch_size": 32, "accumulation": 2}})
    diagnosis = diagnose_failure(describe_memory(32), config)
    (remedy,) = diagnosis.remedies
    assert (diagnosis.title, remedy.label, remedy.action) == ("Memory ran out", "Retry with batch 16", "launch")
    assert (remedy.config.train.batch_size, remedy.config.train.accumulation) == (16, 4)
    assert remedy.config.optim == config.optim


def test_memory_with_one_image_at_a_time_has_no_button():
    config = make_config({"train": {"batch_size": 1}})
    assert diagnose_failure(describe_memory(1), config).remedies == ()


def test_a_loss_that_is_no_number_is_mended_by_a_tenth_of_the_learning_rate():
    config = make_config({"optim": {"lr": 0.01}})
    error = build_not_finite_error("The loss (nan)", step=7, epoch=1, lr=0.01)
    (remedy,) = diagnose_failure(str(error), config).remedies
    assert remedy.label == "Retry with learning rate 0.001"
    assert remedy.config.optim.lr == pytest.approx(0.001)


def test_a_full_disk_is_mended_by_freeing_and_resuming():
    error = describe_full_disk(OSError(28, "No space left on device"), Path("runs"))
    diagnosis = diagnose_failure(error)
    assert diagnosis.title == "The disk is full"
    assert "Free some space first" in diagnosis.advice
    assert [remedy.action for remedy in diagnosis.remedies] == ["resume"]


def test_a_vanished_process_is_resumed_or_retried_smaller():
    diagnosis = diagnose("interrupted", DEATH_MESSAGE, make_config({}), has_checkpoint=True)
    labels = [remedy.label for remedy in diagnosis.remedies]
    assert labels == ["Resume from the last checkpoint", "Retry with batch 16"]


def test_without_a_checkpoint_it_is_started_again():
    diagnosis = diagnose("interrupted", DEATH_MESSAGE, make_config({}), has_checkpoint=False)
    assert diagnosis.remedies[0].label == "Start it again"


def test_a_dead_waiter_is_queued_again():
    diagnosis = diagnose("interrupted", WAITER_DEATH_MESSAGE, make_config({}), has_checkpoint=False)
    assert [remedy.label for remedy in diagnosis.remedies] == ["Queue it again"]


def test_changed_data_are_met_by_a_new_run():
    source = (ROOT / "medpeft_core" / "training" / "opening.py").read_text(encoding="utf-8")
    assert "has changed since the run" in source  # the words that the page knows it by
    config = make_config({})
    (remedy,) = diagnose_failure(
        "The data set 'nih' has changed since the run x was set up: its images differ.", config
    ).remedies
    assert (remedy.action, remedy.config) == ("launch", config)


@pytest.mark.parametrize(
    ("error", "title"),
    [
        ("The training process ended before it began (exit code 1). log.txt is empty.", "could not start"),
        ("The run did not stop within 30 s and was killed. Resume it.", "killed"),
        ("ValueError: no idea", "ended with an error"),
        (None, "ended with an error"),
    ],
)
def test_other_endings_can_be_resumed(error, title):
    diagnosis = diagnose_failure(error)
    assert title in diagnosis.title
    assert [remedy.action for remedy in diagnosis.remedies] == ["resume"]


@pytest.mark.parametrize("status", ["stopped", "cancelled"])
def test_what_people_ended_can_go_on(status):
    diagnosis = diagnose(status, None, make_config({}), has_checkpoint=True)
    assert [remedy.label for remedy in diagnosis.remedies] == ["Resume from the last checkpoint"]


def test_a_finished_run_needs_no_remedy():
    assert diagnose("finished", None, make_config({}), has_checkpoint=True).remedies == ()
