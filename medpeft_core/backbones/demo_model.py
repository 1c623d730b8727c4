"""Tells timm of `demo_vit`, so that it is built, resized and adapted as every other timm model. Heavy."""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from medpeft_core.backbones.demo import DEPTH, HEADS, IMAGE_SIZE, PATCH_SIZE, WIDTH

default_cfgs = generate_default_cfgs(
    {
        "demo_vit": {
            "input_size": (3, IMAGE_SIZE, IMAGE_SIZE),
            "fixed_input_size": True,
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "apache-2.0",
        }
    }
)


@register_model
def demo_vit(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """A plain ViT that pools the mean of its patches unless told otherwise."""
    settings = {
        "img_size": IMAGE_SIZE,
        "patch_size": PATCH_SIZE,
        "embed_dim": WIDTH,
        "depth": DEPTH,
        "num_heads": HEADS,
        "global_pool": "avg",
        **options,
    }
    model: VisionTransformer = build_model_with_cfg(
        VisionTransformer, "demo_vit", pretrained, pretrained_filter_fn=checkpoint_filter_fn, **settings
    )
    return model
