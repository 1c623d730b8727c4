"""Finds a place for shifts that a merged method gave to layers which have no bias in the plain timm model. Heavy."""

from typing import Any

import torch
from torch import nn

from medpeft_core.errors import ExportError
from medpeft_core.exports.plain_timm import PlainModel

QKV_BIAS = {"qkv_bias": True}  # timm's argument: gives the projection of attention a bias


def make_fit(network: nn.Module, plain: PlainModel, *, method: str) -> dict[str, Any]:
    """Bring a merged network to the tensors of the plain model, without changing what it computes.

    A shift behind a Linear layer W without bias that joins patches (Swin) goes into the bias of the LayerNorm before
    it, where W d = shift can be solved; one behind a patch projection without bias (CLIP) into the positions; one
    behind attention's projection needs a model that is built with `qkv_bias`.

    Args:
        network: is changed in place.

    Returns:
        Further arguments for `timm.create_model`.

    Raises:
        ExportError: the plain model has no place for a tensor, or one too many; names the first.
    """
    for name in _find_odd(network, plain, {}):
        if name.endswith(".reduction.bias"):
            _move_into_norm(network, name)
        elif name == "patch_embed.proj.bias":
            _move_into_positions(network)
    for arguments in ({}, QKV_BIAS):
        odd = _find_odd(network, plain, arguments)
        if not odd:
            return arguments
    odd = _find_odd(network, plain, {})
    raise ExportError(
        f"The method {method!r} cannot be merged into a plain timm model here: {plain.architecture} has no place for "
        f"the merged tensor {odd[0]!r}. Export the run as 'tensors' or 'onnx'."
    )


def _find_odd(network: nn.Module, plain: PlainModel, arguments: dict[str, Any]) -> list[str]:
    """Names of tensors that differ in being there, or in shape."""
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    try:
        wanted = plain.list_shapes(**arguments)
    except TypeError:  # this model of timm has no such argument
        return sorted(found)
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


@torch.no_grad()
def _move_into_norm(network: nn.Module, name: str) -> None:
    module: Any = network.get_submodule(name.removesuffix(".reduction.bias"))
    norm, layer = getattr(module, "norm", None), module.reduction
    outputs, inputs = layer.weight.shape
    if not isinstance(norm, nn.LayerNorm) or norm.bias is None or outputs > inputs:
        return
    if norm.normalized_shape != (inputs,):  # SwinV2 has its norm behind the layer instead
        return
    # the smallest d with W d = shift; in double precision, as the model is in single
    moved = torch.linalg.lstsq(layer.weight.double(), layer.bias.double()[:, None], driver="gelsd").solution[:, 0]
    norm.bias.add_(moved.to(norm.bias.dtype))
    layer.bias = None


@torch.no_grad()
def _move_into_positions(network: Any) -> None:
    """Each patch token gets its position right after the projection."""
    positions, projection = getattr(network, "pos_embed", None), network.patch_embed.proj
    prefix = int(getattr(network, "num_prefix_tokens", 0))
    if not isinstance(positions, nn.Parameter) or positions.shape[1] != network.patch_embed.num_patches + prefix:
        return
    positions[:, prefix:] += projection.bias
    projection.bias = None
