"""Models of every architecture that the lab knows, as small as they go; timm meets the last two here."""

from typing import Any

from timm.models import DenseNet, SwinTransformer, build_model_with_cfg, register_model

IMAGE_SIZE = 64
# What ARCHITECTURE.md calls the architectures -> timm name
ARCHITECTURES = {
    "ViT": "test_vit",
    "windowed ViT": "tiny_swin",
    "ResNet": "test_resnet",
    "DenseNet": "tiny_densenet",
    "ConvNeXt": "test_convnext",
    "depthwise CNN": "test_efficientnet",
}


def _configure(head: str) -> dict[str, Any]:
    return {"classifier": head, "input_size": (3, IMAGE_SIZE, IMAGE_SIZE), "fixed_input_size": False}


@register_model
def tiny_swin(pretrained: bool = False, **options: Any) -> SwinTransformer:
    """Two stages of two blocks, windows of 4 x 4 tokens."""
    sizes = {"img_size": IMAGE_SIZE, "window_size": 4, "embed_dim": 48, "depths": (2, 2), "num_heads": (2, 4)}
    return _build(SwinTransformer, "tiny_swin", "head.fc", pretrained, {**sizes, **options})


@register_model
def tiny_densenet(pretrained: bool = False, **options: Any) -> DenseNet:
    """Two dense blocks of two layers."""
    sizes = {"growth_rate": 16, "block_config": (2, 2)}
    return _build(DenseNet, "tiny_densenet", "classifier", pretrained, {**sizes, **options})


def _build(architecture: type[Any], name: str, head: str, pretrained: bool, options: dict[str, Any]) -> Any:
    config = options.pop("pretrained_cfg", None) or _configure(head)
    return build_model_with_cfg(architecture, name, pretrained, pretrained_cfg=config, **options)
