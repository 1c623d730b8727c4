"""Looks at a built timm model and says where its parts are, by its modules and by timm's own records."""

from dataclasses import dataclass

from torch import nn

from medpeft_core.errors import BackboneError

WINDOW_MODULES = ("WindowAttention", "WindowMultiHeadAttention")


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A built model with what the rest of the lab must know about it.

    Attributes:
        name: timm name.
        kind: "vit", "windowed_vit", "cnn" or "other".
        model: the timm model with a head for this task; its forward gives logits (B, K).
        head: module name of the last layer.
        fresh: names of other modules that no weights were loaded into, such as `fc_norm` under mean pooling.
        image_size: side of the square input in pixels.
        pool: "token" or "avg".
        num_prefix_tokens: class and register tokens before the patch tokens; 0 where there are none.
        cam_layer: module whose output class activation maps are taken from.
        mean, std: normalisation constants for pixels in 0 to 1.
        channels: of the images: 3, or 1 for grey ones.
    """

    name: str
    kind: str
    model: nn.Module
    head: str
    fresh: tuple[str, ...]
    image_size: int
    pool: str
    num_prefix_tokens: int
    cam_layer: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: int = 3


def find_kind(model: nn.Module) -> str:
    """One sequence of tokens is a "vit", attention in windows a "windowed_vit", convolutions are a "cnn"."""
    modules = list(model.modules())
    if any(type(module).__name__ in WINDOW_MODULES for module in modules):
        return "windowed_vit"
    if hasattr(model, "num_prefix_tokens") and hasattr(model, "blocks") and hasattr(model, "patch_embed"):
        return "vit"
    return (
        "cnn" if any(isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1) for module in modules) else "other"
    )


def find_head(model: nn.Module) -> str:
    """Module name of the classifier, as timm records it.

    Raises:
        BackboneError: timm records none, or several (distilled models).
    """
    recorded = getattr(model, "pretrained_cfg", {}).get("classifier")
    if not isinstance(recorded, str) or not isinstance(model.get_submodule(recorded), nn.Linear):
        raise BackboneError(
            f"The classifier of this model is {recorded!r}, but the lab needs exactly one Linear layer as the head. "
            "Choose a model without a second (distillation) head."
        )
    return recorded


def find_fresh(model: nn.Module) -> tuple[str, ...]:
    """Modules besides the head that pre-training did not have: the norm after mean pooling of a ViT that had none."""
    norm = getattr(model, "fc_norm", None)
    return ("fc_norm",) if isinstance(norm, nn.Module) and any(True for _ in norm.parameters()) else ()


def find_cam_layer(model: nn.Module, kind: str) -> str:
    """The layer whose output a class activation map is taken from.

    For transformers the first norm of the last block: with token pooling the block's own output has a gradient for the
    class token only, and the map would be flat. For CNNs the last feature map, from timm's feature table.

    Raises:
        BackboneError: the model has neither.
    """
    if kind in ("vit", "windowed_vit"):
        norms = [name for name, _ in model.named_modules() if name.endswith(".norm1")]
        if norms:
            return norms[-1]
    table = getattr(model, "feature_info", None)
    if isinstance(table, list) and table:
        return str(table[-1]["module"])
    if table is not None and hasattr(table, "module_name"):
        return str(table.module_name(-1))
    raise BackboneError(
        "This model has no feature map that a class activation map could be taken from. Choose another backbone."
    )
