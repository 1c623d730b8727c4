"""Backbones before any method: the last one is kept for the next question, and what each computes is remembered."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.shelf import SHELF_PREFIX, shelf_file
from medpeft_core.config import RunConfig
from medpeft_core.paths import get_home
from medpeft_core.training.build import build_bare_backbone
from medpeft_core.training.model_parts import find_traits

MAX_KEPT_BYTES = 400 * 1024**2  # of the last backbone's weights: a ViT-Base is kept, a ViT-Large is not


class BareBackbones:
    """Builds backbones; one that is not too large is built once in a row. For one thread."""

    def __init__(self) -> None:
        self._kept: tuple[set[tuple[Any, ...]], Backbone] | None = None
        self._flops: dict[tuple[Any, ...], int] = {}
        self._traits: dict[tuple[str, str | None], dict[str, Any]] = {}

    def get(self, config: RunConfig, num_classes: int) -> Backbone:
        """The backbone of a config, for the caller to change.

        Raises:
            BackboneError: it cannot be built so.
        """
        key = build_backbone_key(config, num_classes)
        if self._kept is None or key not in self._kept[0]:
            self._kept = None  # freed before the next one is made
            bare = build_bare_backbone(config, num_classes=num_classes)
            if sum(parameter.nbytes for parameter in bare.model.parameters()) > MAX_KEPT_BYTES:
                return bare
            section = replace(config.backbone, **describe_backbone(bare, config))
            self._kept = {key, build_backbone_key(replace(config, backbone=section), num_classes)}, bare
        return copy.deepcopy(self._kept[1])  # methods change the model in place

    def count_flops(self, config: RunConfig, num_classes: int, backbone: Backbone) -> int:
        """`count_flops` of a backbone that `get` gave and nothing has changed; counted once."""
        key = build_backbone_key(config, num_classes)
        if key not in self._flops:
            self._flops[key] = count_flops(backbone.model, backbone.image_size, channels=backbone.channels)
        return self._flops[key]

    def describe_traits(self, config: RunConfig, num_classes: int) -> dict[str, Any]:
        """{"kind", "traits": sorted} of a config's backbone with random weights, which need no download.

        Raises:
            BackboneError: there is no such model, or it cannot be built so.
        """
        name = config.backbone.name
        key = (name, config.backbone.pool)
        if key not in self._traits:
            section = replace(config.backbone, weights="random", weights_sha256=None)
            if self._kept is not None and self._kept[1].name == name:
                backbone = self._kept[1]
            else:
                backbone = build_bare_backbone(replace(config, backbone=section), num_classes=num_classes)
            self._traits[key] = {"kind": backbone.kind, "traits": sorted(find_traits(backbone))}
        return self._traits[key]


def build_backbone_key(config: RunConfig, num_classes: int) -> tuple[Any, ...]:
    """All that decides what a backbone is; another one when a weights file was changed."""
    weights = config.backbone.weights
    on_shelf = weights.startswith(SHELF_PREFIX)
    path = shelf_file(get_home(), weights.removeprefix(SHELF_PREFIX)) if on_shelf else Path(weights)
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
    return (config.backbone, stamp, num_classes)


def describe_backbone(backbone: Backbone, config: RunConfig) -> dict[str, Any]:
    """The fields of the config's backbone section that the backbone decides, unless the config does."""
    return {
        "image_size": backbone.image_size,
        "pool": backbone.pool,
        "mean": config.backbone.mean or backbone.mean,
        "std": config.backbone.std or backbone.std,
    }


def count_flops(network: nn.Module, image_size: int, *, channels: int = 3) -> int:
    """Operations of matrix products, convolutions and attention in a forward pass of one image, two a multiply-add.

    What is computed number by number (norms, activations, scales) is not in it. Leaves the network in eval mode.
    """
    network.eval()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)  # the counter stumbles over one that is given to a module as its input
    try:
        with FlopCounterMode(display=False, custom_mapping=_find_own_formulas()) as counter, torch.no_grad():
            network(torch.zeros(1, channels, image_size, image_size))
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())


def _find_own_formulas() -> dict[Any, Callable[..., int]]:
    """torch has formulas for attention on GPUs only."""
    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _count_attention}


def _count_attention(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))
