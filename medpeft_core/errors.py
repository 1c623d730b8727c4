"""Every error that a user can cause. Pages and the command line show the text of these and of nothing else.

A message has four parts: what failed, the value, what is allowed, what to do next.
"""


class MedPeftError(Exception):
    """Base of all errors that a user can cause and mend; its text is one complete message."""


class ConfigError(MedPeftError):
    """A setting is out of its range, unknown, or contradicts another."""


class UnknownNameError(MedPeftError):
    """A registry holds no spec of that name."""


class DataError(MedPeftError):
    """A data set or an image cannot be used as it is."""


class BackboneError(MedPeftError):
    """A backbone cannot be built as asked: unknown name, impossible image size, unusable weights."""


class MethodError(MedPeftError):
    """A method does not fit the backbone, or its knobs do not fit the layers."""


class MetricError(MedPeftError):
    """Predictions and targets cannot be compared."""


class RunError(MedPeftError):
    """A run is missing, damaged, or in a state that forbids what was asked."""


class TrainingError(MedPeftError):
    """Training cannot go on, for example because the loss is no longer finite."""


class ExplainError(MedPeftError):
    """A class activation map would be meaningless, for example flat or not finite."""


class ExportError(MedPeftError):
    """A run cannot leave the lab as asked, or what was brought in is not what it says."""


class ComputeError(MedPeftError):
    """The helper process that works for the pages gave no answer: it ended, took too long, or met a fault."""


def require(is_fine: bool, name: str, value: object, allowed: str) -> None:
    """Raise when a setting is not fine: "optim.lr is -1, but it must be above 0."

    Args:
        is_fine: the outcome of the check.
        name: the setting as a user writes it, `section.key`.
        value: what was given.
        allowed: the rest of the sentence "it must be ...".

    Raises:
        ConfigError: `is_fine` is false.
    """
    if not is_fine:
        raise ConfigError(f"{name} is {value}, but it must be {allowed}.")
