"""What the programs beside an exported model must know about it, as plain values. Light."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpeft_core.backbones.anatomy import Backbone
    from medpeft_core.exports.context import ExportContext

NOTICE = "For research and teaching only, not for clinical use."
SYNTHETIC = "It learned from synthetic images only: its numbers say nothing about real patients."


def describe_model(context: "ExportContext", backbone: "Backbone") -> dict[str, Any]:
    """Labels, task, thresholds chosen on val, and how an image file is prepared (`preprocessing.prepare_image`)."""
    part = context.config.backbone
    thresholds = context.metrics.get("thresholds") or {}
    return {
        "run_id": context.run.run_id,
        "method": context.config.method.name,
        "knobs": dict(context.config.method.knobs),
        "labels": list(context.labels),
        "task": context.task,
        "is_ordered": bool(context.provenance.get("is_ordered")),
        "thresholds": {label: thresholds.get(label) for label in context.labels},
        "image": {
            "cache_size": context.config.data.cache_size,
            "image_size": backbone.image_size,
            "mean": list(say_constants(part.mean or backbone.mean, part.channels)),
            "std": list(say_constants(part.std or backbone.std, part.channels)),
            "interpolation": context.config.augment.interpolation,
        },
        "is_synthetic": bool(context.provenance.get("is_synthetic")),
        "notice": NOTICE,
    }


def say_constants(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Mean or deviation for each channel that a model reads: of the three colours, or for grey images their average."""
    return (sum(values) / len(values),) if channels == 1 else tuple(values)


def say_notes(context: "ExportContext") -> tuple[str, ...]:
    """Sentences for the receiver of any model."""
    return (NOTICE, SYNTHETIC) if context.provenance.get("is_synthetic") else (NOTICE,)
