"""Models of every architecture that the lab knows, as small as they go; timm meets the last two here."""

from typing import Any

from timm.models import DenseNet, SwinTransformer, register_model

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


HUB_OPTIONS = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def _configure(head: str) -> dict[str, Any]:
    return {"classifier": head, "input_size": (3, IMAGE_SIZE, IMAGE_SIZE), "fixed_input_size": False}


@register_model
def tiny_swin(pretrained: bool = False, **options: Any) -> SwinTransformer:
    """Two stages of two blocks, windows of 4 x 4 tokens."""
    sizes = {"img_size": IMAGE_SIZE, "window_size": 4, "embed_dim": 48, "depths": (2, 2), "num_heads": (2, 4)}
    return _build(SwinTransformer, "head.fc", sizes, options)


@register_model
def tiny_densenet(pretrained: bool = False, **options: Any) -> DenseNet:
    """Two dense blocks of two layers."""
    return _build(DenseNet, "classifier", {"growth_rate": 16, "block_config": (2, 2)}, options)


def _build(architecture: type[Any], head: str, sizes: dict[str, Any], options: dict[str, Any]) -> Any:
    """`options` are timm's own; those of its hub are left out."""
    kept = {name: value for name, value in options.items() if name not in HUB_OPTIONS}
    model = architecture(**{**sizes, **kept})
    model.pretrained_cfg = _configure(head)
    return model
