"""What is said about a training that ended by an exception."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.disk import describe_full_disk, is_disk_full

DescribeMemory = Callable[[str, int | None], str]

_MEMORY_ERRORS = frozenset({"MemoryError", "OutOfMemoryError"})  # torch's by name: this module stays light
_MEMORY_PHRASES = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An exception, told to people.

    Attributes:
        text: one message.
        traceback: where it happened; None for what a user can mend, where it would only frighten.
    """

    text: str
    traceback: str | None = None


def describe_training_memory(device: str, batch_size: int | None) -> str:
    """What is said to somebody whose training took too much memory.

    Args:
        device: what it ran on.
        batch_size: images in one forward pass, or None when not known.
    """
    if batch_size is None:
        return f"The memory of {device} ran out. Start a new run with half the train.batch_size."
    if batch_size <= 1:
        remedy = "Choose a smaller backbone.image_size or a smaller backbone."
        return f"The memory of {device} ran out with one image at a time. {remedy}"
    return (
        f"The memory of {device} ran out with train.batch_size {batch_size}. Start a new run with train.batch_size "
        f"{batch_size // 2} and twice the train.accumulation: half the batch, the same effective one."
    )


def describe_pretraining_memory(device: str, batch_size: int | None) -> str:
    """What is said to somebody whose pre-training took too much memory; the arguments of `describe_training_memory`."""
    if batch_size is None:
        return f"The memory of {device} ran out. Start a new pre-training with a smaller --batch-size."
    if batch_size <= 1:
        remedy = "Choose a smaller --image-size or a smaller backbone."
        return f"The memory of {device} ran out with one image at a time. {remedy}"
    return (
        f"The memory of {device} ran out with --batch-size {batch_size}. Start a new pre-training with a smaller "
        f"--batch-size, for example {batch_size // 2}, and twice the train.accumulation: half the batch, the same "
        "effective one."
    )


def describe_failure(
    error: BaseException,
    *,
    folder: Path,
    device: str,
    batch_size: int | None,
    describe_memory: DescribeMemory = describe_training_memory,
) -> Failure:
    """The message about `error`, and the traceback where it helps.

    Args:
        error: what ended the training.
        folder: the run's folder.
        device: what it ran on.
        batch_size: images in one forward pass, or None when not known.
        describe_memory: says, given the last two, what to do when memory ran out.
    """
    if isinstance(error, MedPeftError):
        return Failure(text=str(error))
    trace = "".join(traceback.format_exception(error))
    if is_disk_full(error):
        return Failure(text=describe_full_disk(error, folder), traceback=trace)
    if is_out_of_memory(error):
        return Failure(text=describe_memory(device, batch_size), traceback=trace)
    return Failure(text=f"{type(error).__name__}: {error}", traceback=trace)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in the process or on the GPU."""
    if type(error).__name__ in _MEMORY_ERRORS:
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _MEMORY_PHRASES)
