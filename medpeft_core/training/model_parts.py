"""Looks at a built backbone and names the parts that methods work on, by their modules and by what is really called."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from medpeft_core import traits
from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.qkv import find_fused_qkv, split_qkv
from medpeft_core.methods import ModelParts

GATE_MODULES = ("SqueezeExcite", "SEModule", "EffectiveSEModule")
# attributes of modules
BIASED_ATTENTION = ("relative_position_bias_table", "rel_pos", "shared_rel_pos", "rope", "cpb_mlp")
PIXEL_CHANNELS = 3
POSITION_PARAMETER = re.compile(r"[a-z_]*pos_embed[a-z_]*")


def find_parts(backbone: Backbone, *, wants_split_qkv: bool) -> ModelParts:
    """What methods may want to know; splits fused qkv layers first when asked to.

    Images go through the model, because only that shows which layers are called: some models use the weight of a
    layer without calling it, and an adapter around it would silently do nothing.
    """
    model = backbone.model
    called = trace_calls(model, backbone.image_size, channels=backbone.channels)
    all_fused = find_fused_qkv(model)
    fused = tuple(name for name in all_fused if called.get(name, 0))
    attentions = tuple(name.rpartition(".")[0] for name in all_fused)
    blocks = tuple(name.rpartition(".")[0] for name in attentions)
    split = fused if wants_split_qkv else ()
    if split:
        split_qkv(model, split)
        for name in split:
            called |= {f"{name}.{role}": called[name] for role in ("q", "k", "v")}
    finder = _Finder(backbone, called, outside=("patch_embed.",))
    pixel_layer = finder.find_pixel_layer()
    linears = finder.find(lambda module: isinstance(module, nn.Linear))
    # a convolution over the three input channels is too narrow for a low rank; grouped ones cannot take it
    dense = finder.find(lambda module: isinstance(module, nn.Conv2d) and module.groups == 1 and _reads_maps(module))
    convs = tuple(name for name in dense if type(model.get_submodule(name)) is nn.Conv2d)
    parts: dict[str, Any] = {
        "fused_qkv": () if split else fused,
        "queries": tuple(f"{name}.q" for name in split),
        "keys": tuple(f"{name}.k" for name in split),
        "values": tuple(f"{name}.v" for name in split),
        "linears": linears,
        "linears_on_maps": tuple(name for name in linears if called[name] == 4),
        "convs": convs,
        "special_convs": tuple(name for name in dense if name not in convs),
        "blocks": blocks,
        "attentions": attentions,
        "mlps": tuple(mlp for block in blocks for mlp in _find_mlps(model, block, attentions)),
        "residual_convs": tuple(name for name in convs if _is_in_conv_block(model, name) and _is_centred(model, name)),
        "spatial_convs": finder.find(_is_spatial),
        "patch_projection": pixel_layer,
        "positions": tuple(
            name for name, _ in model.named_parameters(recurse=False) if POSITION_PARAMETER.fullmatch(name)
        ),
        "layer_norms": finder.find(_is_layer_norm, everywhere=True),
        "batch_norms": finder.find(_is_batch_norm, everywhere=True),
    }
    return ModelParts(
        backbone=backbone.name,
        kind=backbone.kind,
        head=backbone.head,
        fresh=backbone.fresh,
        num_prefix_tokens=backbone.num_prefix_tokens,
        traits=_find_traits(backbone, parts),
        **parts,
    )


def find_traits(backbone: Backbone) -> traits.Traits:
    """What a built backbone is made of, in the words of `medpeft_core.traits`; changes nothing."""
    return find_parts(backbone, wants_split_qkv=False).traits


def trace_calls(model: nn.Module, image_size: int, *, channels: int = PIXEL_CHANNELS) -> dict[str, int]:
    """Name of every module that a forward pass gives something of the images -> dimensions of what it was given.

    Two images go through: a tensor whose first dimension is 1 is the same for both, a table of positions for example.
    """
    seen: dict[str, int] = {}
    hooks = []

    def watch(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            tensors = [item for item in (*inputs, *keywords.values()) if isinstance(item, torch.Tensor)]
            if tensors and tensors[0].ndim and len(tensors[0]) > 1:
                seen.setdefault(name, tensors[0].ndim)

        return note

    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(watch(name), with_kwargs=True))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(2, channels, image_size, image_size, device=device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return seen


class _Finder:
    """Finds called modules outside head, fresh modules and gates."""

    def __init__(self, backbone: Backbone, called: dict[str, int], *, outside: tuple[str, ...]) -> None:
        self.model, self.called = backbone.model, called
        modules = list(backbone.model.named_modules())
        gates = [f"{name}." for name, module in modules if type(module).__name__ in GATE_MODULES]
        own = [f"{name}." for name in (backbone.head, *backbone.fresh)]
        self._left_out = tuple([*own, *gates])
        self._outside = outside
        self._modules = [(name, module) for name, module in modules if called.get(name, 0)]

    def find(self, is_wanted: Callable[[nn.Module], bool], *, everywhere: bool = False) -> tuple[str, ...]:
        """Names of the wanted modules; those of the patch embedding only with `everywhere`."""
        left_out = self._left_out if everywhere else (*self._left_out, *self._outside)
        return tuple(
            name for name, module in self._modules if not f"{name}.".startswith(left_out) and is_wanted(module)
        )

    def find_pixel_layer(self) -> str:
        """The first convolution or Linear layer: it reads the pixels."""
        layers = (name for name, module in self._modules if isinstance(module, nn.Conv2d | nn.Linear))
        return next(layers, "")


def _find_traits(backbone: Backbone, parts: dict[str, Any]) -> traits.Traits:
    model = backbone.model
    found = {
        traits.ATTENTION: parts["attentions"],
        traits.CALLED_QKV: parts["fused_qkv"] or parts["queries"],
        traits.ONE_SEQUENCE: backbone.kind == "vit",
        traits.POSITION_BIAS: any(
            getattr(module, name, None) is not None for module in model.modules() for name in BIASED_ATTENTION
        ),
        traits.TRANSFORMER_MLP: parts["mlps"],
        traits.LAYER_NORM: parts["layer_norms"],
        traits.BATCH_NORM: parts["batch_norms"],
        traits.BIAS: _has_bias(model, (backbone.head, *backbone.fresh)),
        traits.LINEAR: parts["linears"],
        traits.LINEAR_ON_TOKENS: len(parts["linears"]) > len(parts["linears_on_maps"]),
        traits.LINEAR_ON_MAPS: parts["linears_on_maps"],
        traits.CONV: parts["convs"],
        traits.POINTWISE_CONV: any(_is_pointwise(model.get_submodule(name)) for name in parts["convs"]),
        traits.RESIDUAL_CONV: parts["residual_convs"],
        traits.SPATIAL_CONV: parts["spatial_convs"],
        traits.DEPTHWISE_CONV: any(_is_depthwise(module) for module in model.modules()),
    }
    return frozenset(name for name, value in found.items() if value)


def _find_mlps(model: nn.Module, block: str, attentions: Iterable[str]) -> list[str]:
    """Children of a transformer block that read and give tokens of one width through at least two Linear layers."""
    found = []
    for child, module in model.get_submodule(block).named_children():
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        is_mlp = len(layers) >= 2 and layers[0].in_features == layers[-1].out_features
        if is_mlp and f"{block}.{child}" not in attentions:
            found.append(f"{block}.{child}")
    return found


def _has_bias(model: nn.Module, left_out: tuple[str, ...]) -> bool:
    prefixes = tuple(f"{name}." for name in left_out)
    return any(name.endswith("bias") and not name.startswith(prefixes) for name, _ in model.named_parameters())


def _is_layer_norm(module: nn.Module) -> bool:
    is_kind = isinstance(module, nn.LayerNorm | nn.RMSNorm) or type(module).__name__.startswith("RmsNorm")
    return is_kind and isinstance(getattr(module, "weight", None), nn.Parameter)


def _is_batch_norm(module: nn.Module) -> bool:
    is_kind = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.GroupNorm)
    return is_kind and isinstance(getattr(module, "weight", None), nn.Parameter)


def _reads_maps(conv: nn.Conv2d) -> bool:
    return conv.in_channels > PIXEL_CHANNELS


def _is_pointwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


def _is_spatial(module: nn.Module) -> bool:
    """A kernel above 1 and above its stride; convolutions that cut maps into patches have the same for both."""
    return (
        isinstance(module, nn.Conv2d)
        and _reads_maps(module)
        and min(module.kernel_size) > 1
        and all(size > step for size, step in zip(module.kernel_size, module.stride, strict=True))
    )


def _is_in_conv_block(model: nn.Module, name: str) -> bool:
    """Whether the module around a convolution has another one beside it, as the branch of a residual block has."""
    parent = model.get_submodule(name.rpartition(".")[0])
    convs = [child for child in parent.children() if isinstance(child, nn.Conv2d)]
    return len(convs) >= 2 and not isinstance(parent, nn.Sequential)


def _is_centred(model: nn.Module, name: str) -> bool:
    """Whether each output lies over the middle of its kernel, so that a 1 x 1 convolution can join the centre tap."""
    conv = model.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    sides = zip(conv.kernel_size, conv.dilation, conv.padding, strict=False)
    is_plain = not isinstance(conv.padding, str)
    return is_plain and all(size % 2 == 1 and padding == step * (size // 2) for size, step, padding in sides)
