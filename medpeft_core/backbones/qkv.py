"""Splits the fused qkv layer of an attention block into three, because an adapter cannot target a slice of a layer."""

import torch
from torch import nn

from medpeft_core.errors import BackboneError

ROLES = ("q", "k", "v")


class SplitQKV(nn.Module):
    """Three Linear layers q, k, v in place of the fused one, with the same weights and the same output.

    The concatenated output has the layout of the fused layer, so the attention block around it needs no change.
    """

    q: nn.Module
    k: nn.Module
    v: nn.Module

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        width = fused.out_features // 3
        for index, name in enumerate(("q", "k", "v")):
            rows = slice(index * width, (index + 1) * width)
            layer = nn.Linear(fused.in_features, width, bias=fused.bias is not None, device=fused.weight.device)
            layer.weight = nn.Parameter(fused.weight.detach()[rows].clone())
            if fused.bias is not None:
                layer.bias = nn.Parameter(fused.bias.detach()[rows].clone())
            self.add_module(name, layer)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.q(tokens), self.k(tokens), self.v(tokens)), dim=-1)  # (B, N, 3 D)


def find_fused_qkv(model: nn.Module) -> tuple[str, ...]:
    """Names of the fused qkv Linear layers: called `qkv`, and three times as wide as what they read."""
    return tuple(
        name
        for name, module in model.named_modules()
        if name.rsplit(".", 1)[-1] == "qkv" and isinstance(module, nn.Linear) and module.out_features % 3 == 0
    )


def split_qkv(model: nn.Module, names: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Replace fused qkv layers of `model` in place, exactly.

    Args:
        names: of the layers; None for all.

    Returns:
        The names of the layers that were replaced; each now has the children `q`, `k` and `v`.
    """
    names = find_fused_qkv(model) if names is None else names
    for name in names:
        parent, _, child = name.rpartition(".")
        fused = model.get_submodule(name)
        assert isinstance(fused, nn.Linear)
        setattr(model.get_submodule(parent), child, SplitQKV(fused))
    return names


@torch.no_grad()
def fuse_qkv(model: nn.Module) -> tuple[str, ...]:
    """Undo `split_qkv` in place, exactly: plain Linear layers q, k, v become one again.

    Returns:
        The names of the layers that were put back.

    Raises:
        BackboneError: a projection is no plain Linear layer; an adapter is still on it.
    """
    names = find_split_qkv(model)
    for name in names:
        parts = [getattr(model.get_submodule(name), role) for role in ROLES]
        for role, part in zip(ROLES, parts, strict=True):
            if type(part) is not nn.Linear:
                raise BackboneError(f"{name}.{role} is a {type(part).__name__}. Merge its adapter before it is fused.")
        weight = torch.cat([part.weight for part in parts])  # (3 D, D)
        has_bias = parts[0].bias is not None
        fused = nn.Linear(weight.shape[1], len(weight), bias=has_bias, device=weight.device)
        fused.weight.copy_(weight)
        if has_bias:
            fused.bias.copy_(torch.cat([part.bias for part in parts]))
        fused.train(parts[0].training)
        model.set_submodule(name, fused)
    return names


def find_split_qkv(model: nn.Module) -> tuple[str, ...]:
    """Names of the layers that `split_qkv` has replaced."""
    return tuple(name for name, module in model.named_modules() if isinstance(module, SplitQKV))
