"""A trained scale and shift behind frozen layers, and how both are merged into these layers. Heavy."""

from collections import OrderedDict

import torch
from torch import nn

from medpeft_core.methods.adapted import PlainAdaptedModel
from medpeft_core.methods.insertion import Insertion


class ScaleShift(nn.Module):
    """y = scale * x + shift, one number of each for every channel.

    Args:
        weight: of the layer before, whose first side is the channels.

    Attributes:
        axis: of the channels: 1 in maps (B, C, H, W), -1 in tokens (B, N, D) and in maps (B, H, W, C).
        shift: None where the layer before could not take it up.
    """

    def __init__(self, weight: torch.Tensor, *, axis: int, has_shift: bool) -> None:
        super().__init__()
        self.axis = axis
        self.scale = nn.Parameter(weight.new_ones(len(weight)))
        self.shift = nn.Parameter(weight.new_zeros(len(weight))) if has_shift else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scaled = features * self._spread(self.scale, features)
        if self.shift is not None:
            scaled = scaled + self._spread(self.shift, features)
        # under mixed precision the product is float32; a scale near 1 would lose too much in half precision
        return scaled.to(features.dtype)

    def _spread(self, numbers: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return numbers if self.axis == -1 else numbers.view(-1, *[1] * (features.ndim - 2))


def put_in_scale_shifts(model: nn.Module, *, names: list[str]) -> None:
    """Put a `ScaleShift` behind each of these layers: in a pair with it, or before the activation inside it."""
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer.weight, nn.Parameter)
        part = ScaleShift(layer.weight.detach(), axis=find_channel_axis(layer), has_shift=not is_rms_norm(layer))
        if has_activation(layer):
            layer.add_module("drop", nn.Sequential(OrderedDict(ssf=part, drop=layer.get_submodule("drop"))))
        else:
            model.set_submodule(name, nn.Sequential(OrderedDict(layer=layer, ssf=part)))


class SsfModel(PlainAdaptedModel):
    """A model with a `ScaleShift` behind each layer in `names`."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__(network, method="ssf")
        self._names = names
        self.insertion = Insertion(
            put_in=put_in_scale_shifts,
            code=(ScaleShift, has_activation, find_channel_axis, is_rms_norm),
            settings={"names": list(names)},
        ).apply(network)

    def merge(self) -> nn.Module:
        for name in self._names:
            _merge(self.network, name)
        return self.network


def can_take_up(layer: nn.Module) -> bool:
    """Whether a Linear layer or convolution uses its weight as it is; subclasses may standardise it first."""
    return type(layer) in (nn.Linear, nn.Conv2d)


def _merge(network: nn.Module, name: str) -> None:
    """Put back the layer alone, its weight and bias scaled and its bias shifted; one without a bias gets one."""
    module = network.get_submodule(name)
    holder = module.drop if has_activation(module) else module
    assert isinstance(holder, nn.Sequential)
    part = holder.get_submodule("ssf")
    assert isinstance(part, ScaleShift)
    if holder is module:
        layer = holder.get_submodule("layer")
        network.set_submodule(name, layer)
    else:
        layer = module
        layer.drop = holder.get_submodule("drop")
    _scale(layer, part)


@torch.no_grad()
def _scale(layer: nn.Module, part: ScaleShift) -> None:
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, nn.Parameter)
    weight.mul_(part.scale.view(-1, *[1] * (weight.ndim - 1)))
    if bias is not None:
        bias.mul_(part.scale)
    if part.shift is not None:
        if bias is None:
            layer.bias = nn.Parameter(part.shift.clone())
        else:
            bias.add_(part.shift)


def has_activation(layer: nn.Module) -> bool:
    """Whether it is one of timm's norms that end in an activation; their `drop` comes between the two."""
    return isinstance(getattr(layer, "drop", None), nn.Module) and isinstance(getattr(layer, "act", None), nn.Module)


def find_channel_axis(layer: nn.Module) -> int:
    """Which side of its output are the channels; timm's LayerNorms over maps (B, C, H, W) have 2d in their names."""
    is_on_maps = isinstance(layer, nn.Conv2d | nn.modules.batchnorm._BatchNorm | nn.GroupNorm)
    return 1 if is_on_maps or "2d" in type(layer).__name__ else -1


def is_rms_norm(layer: nn.Module) -> bool:
    """Whether it is a norm without a bias, which could take up no shift."""
    return isinstance(layer, nn.RMSNorm) or type(layer).__name__.startswith("RmsNorm")
