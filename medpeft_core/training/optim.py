"""Parameter groups with weight and layer decay, the optimizer, and the learning rate of each step."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from medpeft_core.config import OptimConfig
from medpeft_core.methods.adapted import AdaptedModel

JOINS_PREVIOUS = (99999,)  # timm's mark on a pattern whose parameters belong to the layer before
MAX_WARMUP_SHARE = 0.2  # of all steps, so that short runs still reach and keep their peak


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate over the steps, and how far gradients are cut: `clip_norm` 0 is off."""

    peak_lr: float
    min_lr: float
    warmup_epochs: float
    clip_norm: float


def build_optimizer(adapted: AdaptedModel, optim: OptimConfig, *, device: str) -> torch.optim.Optimizer:
    """AdamW or SGD over the trained parameters; every group carries its `lr_scale`.

    Fused kernels are used on CPU and GPU: they give the same update in one pass over memory.
    """
    groups = build_param_groups(adapted, weight_decay=optim.weight_decay, layer_decay=optim.layer_decay)
    lr = optim.lr or 0.0
    is_fused = device == "cpu" or device.startswith("cuda")
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=optim.momentum, fused=is_fused)
    return torch.optim.AdamW(groups, lr=lr, betas=(optim.beta1, optim.beta2), fused=is_fused)


def build_param_groups(adapted: AdaptedModel, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Trained parameters grouped by weight decay and learning rate.

    Tensors with one dimension, and those that the model (class token, positions) or the method exempts, are not
    decayed. With layer decay d the block at distance n from the head learns at d^n times the rate, the head, norms
    after the last block and prompts at the full rate (BEiT, arXiv:2106.08254; in Lian et al. 2024 block b of 12 at
    .65^(12-b)). LoRA parameters go with their block, and a method may scale the rate of single parameters (LoRA+).
    """
    distances = find_layer_distances(adapted.network) if layer_decay < 1 else {}
    exempt = set(_call(adapted.network, "no_weight_decay")) if hasattr(adapted.network, "no_weight_decay") else set()
    exempt |= adapted.no_decay()
    factors = adapted.lr_scales()
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in adapted.trainable().items():
        decay = 0.0 if parameter.ndim <= 1 or name in exempt else weight_decay
        scale = factors.get(name, 1.0) * layer_decay ** distances.get(name, 0)
        group = groups.setdefault((decay, scale), {"params": [], "weight_decay": decay, "lr_scale": scale, "names": []})
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def find_layer_distances(network: nn.Module) -> dict[str, int]:
    """For each parameter the number of layers between it and the head, by timm's own grouping of the model."""
    matcher = _call(network, "group_matcher", coarse=False)
    layers: dict[str, int] = group_parameters(network, _without_final_norm(matcher), reverse=True)
    last = max(layers.values())
    # timm puts whatever its patterns do not know, such as a wrapped head, into the last layer
    return {name: last - layers.get(name, last) for name, _ in network.named_parameters()}


def _without_final_norm(matcher: Any) -> Any:
    """timm counts the norm after the last block to that block; left unmatched, it goes with the head."""
    if not isinstance(matcher, dict):
        return matcher
    return {
        group: [item for item in patterns if not (item[1] == JOINS_PREVIOUS and item[0].startswith("^norm"))]
        if isinstance(patterns, list | tuple)
        else patterns
        for group, patterns in matcher.items()
    }


def _call(network: nn.Module, name: str, **options: Any) -> Any:
    """Call a method that timm adds to its models and that torch's types do not know."""
    return getattr(network, name)(**options)


def compute_lr(step: int, *, num_steps: int, warmup_steps: int, peak: float, floor: float) -> float:
    """Learning rate of optimizer step `step` (from 0): linear up to `peak`, then half a cosine down to `floor`."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def count_warmup_steps(warmup_epochs: float, *, steps_per_epoch: int, num_steps: int) -> int:
    """Steps of warm-up, at most a fifth of the run."""
    return min(round(warmup_epochs * steps_per_epoch), int(num_steps * MAX_WARMUP_SHARE))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
