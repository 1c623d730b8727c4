"""Tells timm of EVA-X's three models: its own EVA-02 with patches of 16 pixels. Heavy."""

from typing import Any

from timm.models import create_model, generate_default_cfgs, register_model
from torch import nn

from medpeft_core.backbones.eva_x import EVA_X_ARGUMENTS, EVA_X_MEAN, EVA_X_MODELS, EVA_X_SIZE, EVA_X_STD

default_cfgs = generate_default_cfgs(
    {
        name: {
            "input_size": (3, EVA_X_SIZE, EVA_X_SIZE),
            "fixed_input_size": True,
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "mit",
            "mean": EVA_X_MEAN,
            "std": EVA_X_STD,
        }
        for name in EVA_X_MODELS
    }
)


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    if pretrained:
        raise RuntimeError(f"timm has no weights for {name}; load its file.")
    config = options.pop("pretrained_cfg", None) or default_cfgs[name].default
    model: nn.Module = create_model(EVA_X_MODELS[name], pretrained_cfg=config, **{**EVA_X_ARGUMENTS, **options})
    return model


@register_model
def eva_x_tiny(pretrained: bool = False, **options: Any) -> nn.Module:
    """EVA-X-Ti, which pools the mean of its patches unless told otherwise."""
    return _create("eva_x_tiny", pretrained, options)


@register_model
def eva_x_small(pretrained: bool = False, **options: Any) -> nn.Module:
    """EVA-X-S."""
    return _create("eva_x_small", pretrained, options)


@register_model
def eva_x_base(pretrained: bool = False, **options: Any) -> nn.Module:
    """EVA-X-B."""
    return _create("eva_x_base", pretrained, options)
