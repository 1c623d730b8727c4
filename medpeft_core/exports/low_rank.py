"""What a peft method adds to a layer as the product of two thin matrices, where the method has such a form. Heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from medpeft_core.methods.layers.pissa import START_A, START_B

ADAPTER = "default"  # peft's name of an only adapter
ADALORA_EPS = 1e-5  # as in peft's SVDLinear


@dataclass(frozen=True, kw_only=True)
class Factors:
    """scale * second @ first, beside the layer's own weight; with a magnitude the sum is scaled row by row (DoRA).

    Attributes:
        first: (R, in), or (R, in, height, width) for a convolution.
        second: (out, R), or (out, R, 1, 1).
        scale: that stays outside the two.
        magnitude: DoRA's, as peft stores it, or None.
    """

    first: torch.Tensor
    second: torch.Tensor
    scale: float = 1.0
    magnitude: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        """R."""
        return len(self.first)


def find_factors(method: str, layer: nn.Module, weight: torch.Tensor) -> Factors | None:
    """The factors of a layer that a method adapts; None where it has none that are thin.

    Args:
        method: name of the method.
        layer: peft's layer around the frozen one, with its only adapter.
        weight: of the base, as it was before the method.
    """
    find = _FINDERS.get(method)
    if find is None or (method in LINEAR_ONLY and weight.ndim != 2):
        return None
    with torch.no_grad():
        return find(layer, weight)


def _of_lora(layer: Any, weight: torch.Tensor) -> Factors:
    magnitudes = layer.lora_magnitude_vector
    return Factors(
        first=layer.lora_A[ADAPTER].weight,
        second=layer.lora_B[ADAPTER].weight,
        scale=float(layer.scaling[ADAPTER]),
        magnitude=magnitudes[ADAPTER].weight if ADAPTER in magnitudes else None,
    )


def _of_pissa(layer: Any, weight: torch.Tensor) -> Factors:
    """W - s B0 A0 + s B A = W + s (B A - B0 A0): the plain base stays whole."""
    return Factors(
        first=torch.cat((layer.lora_A[ADAPTER].weight, getattr(layer, START_A))),
        second=torch.cat((layer.lora_B[ADAPTER].weight, -getattr(layer, START_B)), dim=1),
        scale=float(layer.scaling[ADAPTER]),
    )


def _of_adalora(layer: Any, weight: torch.Tensor) -> Factors:
    """P E Q with E in Q; singular values that were taken away are left out."""
    values = layer.lora_E[ADAPTER]  # (r, 1)
    kept = values[:, 0].nonzero()[:, 0]
    kept = kept if len(kept) else torch.tensor([0])
    scale = float(layer.scaling[ADAPTER]) / (float(layer.ranknum[ADAPTER]) + ADALORA_EPS)
    first = (layer.lora_A[ADAPTER] * values)[kept]
    second = layer.lora_B[ADAPTER][:, kept] * scale
    is_conv = weight.ndim == 4
    return Factors(
        first=first.view(-1, *weight.shape[1:]) if is_conv else first,
        second=second.view(*second.shape, 1, 1) if is_conv else second,
    )


def _of_vblora(layer: Any, weight: torch.Tensor) -> Factors:
    first, second = layer._get_lora_matrices(ADAPTER)
    return Factors(first=first, second=second)


def _of_vera(layer: Any, weight: torch.Tensor) -> Factors:
    outputs, inputs = weight.shape
    return Factors(
        first=layer.vera_lambda_d[ADAPTER][:, None] * layer.vera_A[ADAPTER][:, :inputs],
        second=layer.vera_lambda_b[ADAPTER][:, None] * layer.vera_B[ADAPTER][:outputs],
    )


def _of_miss(layer: Any, weight: torch.Tensor) -> Factors:
    """The first matrix sums every r-th input."""
    block = layer.miss_block[ADAPTER]  # (r, out)
    sums = torch.arange(weight.shape[1]) % len(block) == torch.arange(len(block))[:, None]  # (r, in)
    return Factors(first=sums.to(block.dtype), second=block.T)


def _of_hra(layer: Any, weight: torch.Tensor) -> Factors:
    """W (I - 2 u1 u1^T) (I - 2 u2 u2^T) ... as W plus one thin column and row for each reflection."""
    vectors = layer.hra_u[ADAPTER] / layer.hra_u[ADAPTER].norm(dim=0)  # (in, r)
    product, columns = weight.clone(), []
    for vector in vectors.T:
        columns.append(-2 * product @ vector)
        product = product + torch.outer(columns[-1], vector)
    return Factors(first=vectors.T, second=torch.stack(columns, dim=1))


_FINDERS: dict[str, Callable[[Any, torch.Tensor], Factors]] = {
    "lora": _of_lora,
    "rslora": _of_lora,
    "lora_plus": _of_lora,
    "dora": _of_lora,
    "pissa": _of_pissa,
    "adalora": _of_adalora,
    "vblora": _of_vblora,
    "vera": _of_vera,
    "miss": _of_miss,
    "hra": _of_hra,
}
LINEAR_ONLY = ("hra",)  # its reflections of a kernel have no form that LoRA on a convolution has
