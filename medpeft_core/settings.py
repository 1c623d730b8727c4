"""How a setting is declared, with its explanation, and the checks that several sections of a config share. Light."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import field
from typing import Any

from medpeft_core.errors import require


def setting(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] = (),
    suggestions: tuple[str, ...] = (),
    titles: Callable[[], dict[str, str]] | None = None,
) -> Any:
    """A dataclass field whose `metadata` carries the only copy of its explanation and its choices.

    Args:
        choices: the only values that are allowed; empty for any.
        suggestions: values to offer where any text is allowed.
        titles: gives words for people by choice; asked only where they are shown.
    """
    metadata: dict[str, Any] = {"help": help_text, "choices": choices, "suggestions": suggestions}
    metadata |= {"titles": titles} if titles is not None else {}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def layout_setting() -> Any:
    """The field that says how a weights file names its tensors."""
    return setting(
        "auto", "How a weights file names its tensors. auto: found out from the names.", suggestions=("auto",)
    )


def positions_setting() -> Any:
    """The field that says how positions are resampled."""
    return setting(
        "antialias",
        "How the positions of a weights file are brought to another image size: antialias (timm's way) or plain "
        "(bicubic alone, the way of MAE, Lian et al. 2024 and RAD-DINO).",
        choices=("antialias", "plain"),
    )


def check_choices(section: str, part: Any) -> None:
    """Refuse a field whose value is not among the choices in its metadata."""
    for item in dataclasses.fields(part):
        choices = item.metadata.get("choices") or ()
        value = getattr(part, item.name)
        if choices and value is not None:
            require(value in choices, f"{section}.{item.name}", repr(value), "one of " + ", ".join(choices))


def check_normalisation(section: str, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    """Refuse pixel constants that are not three numbers, or a spread of 0."""
    for name, numbers, allowed in (("mean", mean, "three numbers"), ("std", std, "three numbers above 0")):
        is_fine = numbers is None or (len(numbers) == 3 and (name == "mean" or min(numbers) > 0))
        require(is_fine, f"{section}.{name}", numbers, allowed)


def check_device(device: str) -> None:
    """Refuse what is no device's name; whether it exists is found out where the model is built."""
    is_fine = re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", device) is not None
    require(is_fine, "train.device", repr(device), "auto, cpu, mps or cuda:N")


def check_reading(window: str, frame: str) -> None:
    """Refuse a window or a frame of DICOM files that no file can have."""
    is_window = re.fullmatch(r"auto|percentiles|full|[1-9][0-9]?", window) is not None
    require(is_window, "data.window", repr(window), "auto, percentiles, full, or the number of a window")
    is_frame = re.fullmatch(r"first|middle|last|[1-9][0-9]{0,5}", frame) is not None
    require(is_frame, "data.frame", repr(frame), "first, middle, last, or a number from 1")
