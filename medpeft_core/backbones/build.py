"""Builds a timm model for a task, with a fresh head, or without one for pre-training. Heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from medpeft_core.backbones.anatomy import Backbone, find_cam_layer, find_fresh, find_head, find_kind
from medpeft_core.backbones.bare_models import check_forward, check_name, find_options, find_own_size
from medpeft_core.backbones.base_models import create_bare_model, find_normalisation
from medpeft_core.backbones.layouts.fitting import AUTO
from medpeft_core.backbones.layouts.positions import ANTIALIAS
from medpeft_core.errors import BackboneError


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A plain ViT without a head, for pre-training.

    Attributes:
        name: timm name.
        model: gives tokens (B, P + N, D) after its last norm.
        image_size: side of the square input in pixels.
        mean, std: normalisation constants for pixels in 0 to 1.
    """

    name: str
    model: nn.Module
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(
    name: str,
    *,
    num_classes: int,
    image_size: int | None = None,
    pool: str | None = None,
    weights: str = "random",
    base_state: dict[str, torch.Tensor] | None = None,
    drop_path: float = 0.0,
    head_init_std: float = 0.02,
    seed: int = 0,
    download_dir: Path | None = None,
    channels: int = 3,
    layout: str = "auto",
    positions: str = "antialias",
) -> Backbone:
    """A timm model with base weights and a new head for `num_classes` outputs, on the CPU, checked by one forward pass.

    The base depends on the name, size, pooling, weights and seed only, never on the number of classes.

    Args:
        name: timm name, with or without a tag.
        image_size: side of the square input in pixels; None is the model's own.
        pool: "token", "avg" or None for the model's own.
        weights: "random", "demo", "pretrained", "shelf:NAME" or a file; ignored when `base_state` is given.
        base_state: tensors of an earlier `get_base_state`, loaded strictly.
        seed: decides random base weights and the head.
        download_dir: where pre-trained weights are kept.
        channels: of the images: 3, or 1 for grey ones.
        layout: how a weights file names its tensors; "auto" finds it out.
        positions: "antialias" or "plain", how positions of a weights file are brought to another size.

    Raises:
        BackboneError: unknown name, a size or pooling that the model cannot do, weights of another model, no network.
    """
    check_name(name)
    options = find_options(name, image_size, pool, drop_path)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = create_bare_model(
            name,
            options,
            weights=weights,
            base_state=base_state,
            download_dir=download_dir,
            channels=channels,
            layout=layout,
            positions=positions,
        )
        reset_classifier: Callable[[int], None] = model.reset_classifier  # type: ignore[assignment]
        reset_classifier(num_classes)
        head = find_head(model)
        _init_head(model.get_submodule(head), head_init_std)
    finally:
        torch.set_rng_state(generator_state)  # building must not move the caller's random numbers
    kind = find_kind(model)
    mean, std = find_normalisation(model, weights, name=name, channels=channels, is_stored=base_state is not None)
    size = image_size or find_own_size(name)
    check_forward(model, name, size, channels=channels)
    return Backbone(
        name=name,
        kind=kind,
        model=model,
        head=head,
        fresh=find_fresh(model),
        image_size=size,
        pool=_pool_of(model, kind),
        num_prefix_tokens=int(getattr(model, "num_prefix_tokens", 0) or 0) if kind == "vit" else 0,
        cam_layer=find_cam_layer(model, kind),
        mean=mean,
        std=std,
        channels=channels,
    )


def build_encoder(
    name: str,
    *,
    image_size: int | None = None,
    weights: str = "random",
    base_state: dict[str, torch.Tensor] | None = None,
    layout: str = AUTO,
    positions: str = ANTIALIAS,
    seed: int = 0,
    download_dir: Path | None = None,
) -> Encoder:
    """A plain ViT without head and with its last norm, on the CPU, checked by one forward pass.

    Args:
        name: timm name of a plain ViT; `find_kind_of` tells.
        image_size, weights, base_state, layout, positions, seed, download_dir: as for `build_backbone`.

    Raises:
        BackboneError: as `build_backbone`.
    """
    check_name(name)
    options = {**find_options(name, image_size, None, 0.0), "global_pool": ""}  # else timm moves the norm to the head
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = create_bare_model(
            name,
            options,
            weights=weights,
            base_state=base_state,
            download_dir=download_dir,
            layout=layout,
            positions=positions,
        )
    finally:
        torch.set_rng_state(generator_state)
    mean, std = find_normalisation(model, weights, name=name, is_stored=base_state is not None)
    size = image_size or find_own_size(name)
    check_forward(model, name, size)
    return Encoder(name=name, model=model, image_size=size, mean=mean, std=std)


def get_base_state(backbone: Backbone) -> dict[str, torch.Tensor]:
    """All tensors but the head's, copied: what an adapter is worthless without.

    `fc_norm` is among them, since a weights file may have brought its own.
    """
    head = f"{backbone.head}."
    state = backbone.model.state_dict()
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items() if not name.startswith(head)}


def _pool_of(model: nn.Module, kind: str) -> str:
    own = getattr(model, "global_pool", "avg") if kind == "vit" else "avg"
    if own not in ("token", "avg"):
        raise BackboneError(f"This backbone pools by {own!r}; the lab can do token or avg. Add --pool avg.")
    return str(own)


def _init_head(head: nn.Module, std: float) -> None:
    assert isinstance(head, nn.Linear)
    nn.init.trunc_normal_(head.weight, std=std)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
