"""The two short runs of the demo: the small ViT that ships with the lab, with all weights and with LoRA. Light."""

from typing import Any

from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    MethodConfig,
    RunConfig,
    TrainConfig,
)

# Fraction and epochs are such that both runs together take under three minutes on two free cores.
FRACTION, EPOCHS, BATCH = 0.12, 5, 8
MILD = AugmentConfig(crop_scale_min=0.9, rotation_deg=0.0, contrast=0.1)  # few epochs learn more from steady images
METHODS = (
    MethodConfig(name="full"),
    MethodConfig(name="lora", knobs={"rank": 8, "targets": "q,v"}),
)


def build_demo_configs() -> list[RunConfig]:
    """The runs of the demo in the order in which they start: they differ in their method and nothing else."""
    return [
        RunConfig(
            data=DataConfig(dataset="phantom", fraction=FRACTION),
            backbone=BackboneConfig(name=DEMO_BACKBONE, weights="demo"),
            method=method,
            train=TrainConfig(epochs=EPOCHS, batch_size=BATCH),
            augment=MILD,
        )
        for method in METHODS
    ]


def find_demo_runs(summaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the lines of the listing (newest first) the newest of each of the demo's runs, in the demo's order."""
    found = []
    for config in build_demo_configs():
        newest = next((item for item in summaries if _is_like(item, config)), None)
        if newest is not None:
            found.append(newest)
    return found


def _is_like(summary: dict[str, Any], config: RunConfig) -> bool:
    wanted = {
        "dataset": config.data.dataset,
        "fraction": config.data.fraction,
        "backbone": config.backbone.name,
        "weights": config.backbone.weights,
        "method": config.method.name,
        "seed": config.train.seed,
        "epochs": config.train.epochs,
    }
    return all(summary.get(name) == value for name, value in wanted.items())
