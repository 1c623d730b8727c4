"""From the words in which a run ended to what happened, and what mends it. Nothing is drawn here."""

from dataclasses import dataclass, replace
from typing import Literal

from medpeft_core.config import RunConfig
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.states import CANCELLED, FINISHED, STOPPED

LR_DIVISOR = 10  # as the message about a loss that is not finite advises


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A button that mends.

    Attributes:
        label: its words.
        action: "resume" puts the run back into the queue, "launch" starts a new one from `config`.
        config: of the new run, None for "resume".
    """

    label: str
    action: Literal["resume", "launch"]
    config: RunConfig | PretrainConfig | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What happened to a run that ended before it was finished.

    Attributes:
        title: in a few words.
        advice: one sentence to read before the buttons; empty where the error says all.
        remedies: the likely one first; empty where only other settings help.
    """

    title: str
    advice: str = ""
    remedies: tuple[Remedy, ...] = ()


def diagnose(status: str, error: str | None, config: RunConfig | PretrainConfig, *, has_checkpoint: bool) -> Diagnosis:
    """What happened and what mends it; a finished run has no remedy, for a stopped one it is to go on.

    Args:
        status: of the run, which has ended.
        error: the text in the run's state; the messages of `worker.failures`, `runs.store`, `runs.disk`,
            `training.loss` and `training.session` are known by their words.
        config: of the run, which fine-tunes or pre-trains.
        has_checkpoint: whether resuming goes on from somewhere.
    """
    if status == FINISHED:
        return Diagnosis(title="Finished")
    text = error or ""
    again = "Resume from the last checkpoint" if has_checkpoint else "Start it again"
    resume = Remedy(label=again, action="resume")
    if status in (STOPPED, CANCELLED):
        return Diagnosis(title=status.capitalize(), remedies=(resume,))
    if text.startswith("The memory of "):
        return _diagnose_memory(config)
    if text.startswith("The disk is full"):
        return Diagnosis(
            title="The disk is full", advice="Free some space first; then nothing is lost.", remedies=(resume,)
        )
    if "is no longer a finite number" in text:
        return _diagnose_not_finite(config)
    if text.startswith("The data set ") and "has changed since " in text:
        anew = Remedy(label="Start anew with the present data", action="launch", config=config)
        return Diagnosis(title="The data have changed", remedies=(anew,))
    if "ended without a word" in text:
        return Diagnosis(title="The training process vanished", remedies=(resume, *_smaller_batch(config)))
    if text.startswith("The process that waited"):
        return Diagnosis(title="It never got its turn", remedies=(Remedy(label="Queue it again", action="resume"),))
    if "ended before it began" in text:
        return Diagnosis(title="The training process could not start", remedies=(resume,))
    if "did not stop within" in text:
        return Diagnosis(title="It was killed, because it did not stop", remedies=(resume,))
    return Diagnosis(title="Training ended with an error", remedies=(resume,))


def _diagnose_memory(config: RunConfig | PretrainConfig) -> Diagnosis:
    return Diagnosis(title="Memory ran out", remedies=_smaller_batch(config))


def _smaller_batch(config: RunConfig | PretrainConfig) -> tuple[Remedy, ...]:
    """Half the batch and twice the accumulation; nothing when there is one image at a time already."""
    train = config.train
    if train.batch_size <= 1:
        return ()
    half = replace(train, batch_size=train.batch_size // 2, accumulation=train.accumulation * 2)
    label = f"Retry with batch {half.batch_size}"
    return (Remedy(label=label, action="launch", config=replace(config, train=half)),)


def _diagnose_not_finite(config: RunConfig | PretrainConfig) -> Diagnosis:
    title = "The loss is no longer a number"
    name = "base_lr" if isinstance(config, PretrainConfig) else "lr"
    lr = getattr(config.optim, name)
    if lr is None:
        return Diagnosis(title=title)
    lower = replace(config, optim=replace(config.optim, **{name: lr / LR_DIVISOR}))
    retry = Remedy(label=f"Retry with learning rate {lr / LR_DIVISOR:g}", action="launch", config=lower)
    return Diagnosis(title=title, advice="A tenth of the learning rate is a good next try.", remedies=(retry,))
