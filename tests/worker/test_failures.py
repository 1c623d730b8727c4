"""What people are told about a training that ended by an exception."""

import errno
import sqlite3
from pathlib import Path

import pytest

from medpeft_core.errors import TrainingError
from medpeft_core.worker.failures import describe_failure, describe_pretraining_memory


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class SafetensorError(Exception):
    """Named as the library's, which tells of a full disk in its text only."""


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def describe(error, batch_size=32):
    return describe_failure(raised(error), folder=Path("home"), device="cuda:0", batch_size=batch_size)


def test_describe_failure_shows_a_users_error_as_it_is():
    failure = describe(TrainingError("The loss is NaN."))
    assert (failure.text, failure.traceback) == ("The loss is NaN.", None)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
        RuntimeError("[enforce fail at inline_container.cc] write failed: No space left on device"),
    ],
)
def test_describe_failure_knows_a_full_disk(error):
    text = describe(error).text
    assert text.startswith("The disk is full: ")
    assert text.endswith("Free some space, then resume the run.")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes"),
    ],
)
def test_describe_failure_proposes_half_the_batch(error):
    assert "train.batch_size 32. Start a new run with train.batch_size 16" in describe(error).text
    assert "backbone.image_size" in describe(error, batch_size=1).text
    assert "half the train.batch_size" in describe(error, batch_size=None).text


def test_describe_failure_of_a_pretraining_proposes_a_smaller_batch_in_its_own_words():
    def tell(batch_size):
        options = {"folder": Path("home"), "device": "cuda:0", "describe_memory": describe_pretraining_memory}
        return describe_failure(MemoryError(), batch_size=batch_size, **options).text

    assert "ran out with --batch-size 64. Start a new pre-training with a smaller --batch-size, for example 32" in tell(
        64
    )
    assert "smaller --image-size" in tell(1)
    assert "smaller --batch-size" in tell(None)


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("disk is full of beans"), KeyError("x")]
)
def test_describe_failure_gives_type_text_and_traceback_of_a_bug(error):
    failure = describe(error)
    assert failure.text == f"{type(error).__name__}: {error}"
    assert "Traceback" in failure.traceback
    assert "in raised" in failure.traceback
