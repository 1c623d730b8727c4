"""What commands say of runs whose classes exclude each other: accuracy, F1s and kappa of the likeliest class."""

from collections.abc import Mapping
from typing import Any

from medpeft_core.commands.console import describe_interval
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.metrics.spec import METRICS


def list_decisions(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and value with interval of each figure that a run has; none for runs on independent labels.

    Args:
        result: as `reports.summary.summarise_result` gives it.
    """
    return [
        (METRICS[name].title, describe_interval(*(result[f"test_{name}{end}"] for end in ("", "_low", "_high"))))
        for name in DECISION_METRICS
        if result.get(f"test_{name}") is not None
    ]


def describe_class(label: str, figures: Mapping[str, Any]) -> str:
    """A line about a label or class: AUROC, interval and counts, and for a class how often it was found.

    Args:
        label: its name.
        figures: of `per_class` as `summarise_result` gives it.
    """
    interval = describe_interval(figures["auroc"], figures["low"], figures["high"])
    line = f"  {label:<20} {interval:<26} {figures['num_positive']} positive, {figures['num_negative']} negative"
    if figures.get("sensitivity") is None or figures.get("f1") is None:
        return line
    return f"{line}, sensitivity {figures['sensitivity']:.3f}, F1 {figures['f1']:.3f}"


def find_likeliest(probs: Mapping[str, float]) -> str:
    """The class with the highest probability; of equal ones the first."""
    return max(probs, key=lambda label: probs[label])


def describe_answer(probs: Mapping[str, float], label: str, threshold: float | None, *, task: str) -> str:
    """Whether a label is called: "above" or "below" its threshold, or for exclusive classes "likeliest" or nothing."""
    if task == "multiclass":
        return "likeliest" if label == find_likeliest(probs) else ""
    if threshold is None:
        return "no threshold"
    return "above" if probs[label] >= threshold else "below"
