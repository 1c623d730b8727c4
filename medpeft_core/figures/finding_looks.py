"""What methods and findings are called in the figures of the first lesson, and how they look. Light."""

from collections.abc import Sequence
from typing import Any

MACRO = "macro"
MEAN_NAME = "mean of the findings"
METHOD_NAMES = {"lora": "LoRA", "full": "Full", "linear": "Linear probe", "full_random": "Random start"}

Result = dict[str, Any]
Spec = dict[str, Any]


def name_method(method: str) -> str:
    """What a method is called beside its line: short, and without its settings."""
    return METHOD_NAMES.get(method, method)


def name_label(label: str) -> str:
    """The mean in words; a finding as it is."""
    return MEAN_NAME if label == MACRO else label


def write_fraction(fraction: float) -> str:
    """1 %, 10 %, 100 %."""
    return f"{100 * fraction:g} %"


def count_images(result: Result) -> dict[float, int]:
    """Fraction to its labelled images, whole ones: seeds draw patients, who have one image or several."""
    return {
        part["fraction"]: max(round(part["num_images"]), 1)
        for part in result["fractions"]
        if part["num_images"] is not None
    }


def pick_look(method: str, looks: Sequence[str]) -> str:
    """The same for a method in every chart, whichever others are drawn."""
    known = list(METHOD_NAMES)
    return looks[known.index(method) if method in known else len(known) % len(looks)]


def name_side(method: str) -> str:
    """ "LoRA better", "full better": the words on the side of a method."""
    return f"{write_inside(method)} better"


def write_inside(method: str) -> str:
    """The name of a method within a sentence."""
    name = name_method(method)
    return name if method == "lora" else name.lower()


def list_interval(title: str, form: str) -> list[Spec]:
    """The lines of a tooltip for a value and its interval.

    Args:
        title: of the value.
        form: its d3 format.
    """
    return [
        {"field": name, "type": "quantitative", "title": text, "format": form}
        for name, text in (("value", title), ("low", "interval from"), ("high", "interval to"))
    ]
