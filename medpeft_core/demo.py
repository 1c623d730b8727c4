"""The two short runs of the demo: a CNN with all weights, a small ViT with LoRA, on synthetic radiographs. Light."""

from typing import Any

from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    MethodConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)

# Fractions and epochs are such that both runs together take under three minutes on two free cores.
IMAGE_SIZE = 112
CNN_FRACTION, CNN_EPOCHS, CNN_BATCH = 0.35, 6, 16
VIT_FRACTION, VIT_EPOCHS = 0.15, 3
MILD = AugmentConfig(crop_scale_min=0.9, rotation_deg=0.0, contrast=0.1)  # few epochs learn more from steady images
WEAK_LORA_NOTE = (
    "The ViT of this demo starts from random weights, because no pre-trained ones are on this computer yet. LoRA adds "
    "small changes to what a backbone already knows; random weights know nothing, so expect an AUROC near 0.5 from it. "
    "With pre-trained weights it is another story."
)


def build_demo_configs() -> list[RunConfig]:
    """The runs of the demo in the order in which they start."""
    return [
        RunConfig(
            data=DataConfig(dataset="phantom", fraction=CNN_FRACTION),
            backbone=BackboneConfig(name="resnet18", image_size=IMAGE_SIZE),
            method=MethodConfig(name="full"),
            optim=OptimConfig(lr=1e-3),  # random weights need more than the fine-tuning rate
            train=TrainConfig(epochs=CNN_EPOCHS, batch_size=CNN_BATCH),
            augment=MILD,
        ),
        RunConfig(
            data=DataConfig(dataset="phantom", fraction=VIT_FRACTION),
            backbone=BackboneConfig(name="vit_tiny_patch16_224", image_size=IMAGE_SIZE, pool="avg"),
            method=MethodConfig(name="lora", knobs={"rank": 8, "targets": "q,v"}),
            train=TrainConfig(epochs=VIT_EPOCHS),
            augment=MILD,
        ),
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
