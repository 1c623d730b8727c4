"""Models that the lab taught timm, in timm's own words: a receiver without the lab builds the same. Light."""

from typing import Any

from medpeft_core.backbones.demo import DEMO_BACKBONE, DEPTH, HEADS, IMAGE_SIZE, PATCH_SIZE, WIDTH
from medpeft_core.backbones.eva_x import EVA_X_ARGUMENTS, EVA_X_MODELS

# name -> timm's name of a model that can be turned into it, and the arguments that do so
LAB_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    DEMO_BACKBONE: (
        "vit_tiny_patch16_224",
        {
            "img_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "embed_dim": WIDTH,
            "depth": DEPTH,
            "num_heads": HEADS,
            "global_pool": "avg",
        },
    ),
    **{name: (architecture, EVA_X_ARGUMENTS) for name, architecture in EVA_X_MODELS.items()},
}


def say_in_timm(name: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments for `timm.create_model` in an environment that has never heard of the lab."""
    architecture, arguments = LAB_MODELS.get(name, (name, {}))
    return architecture, dict(arguments)
