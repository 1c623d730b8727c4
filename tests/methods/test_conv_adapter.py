"""Conv-Adapter against its equation (Chen et al. 2024, arXiv:2208.07463), written again without convolutions."""

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn
from trials import build_bare, make_batch

from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.methods.layers.conv_adapter import AdaptedConv
from medpeft_core.training.build import BuiltModel, apply_method

Weights = dict[str, torch.Tensor]
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias", "alpha")


def shake(module: nn.Module) -> None:
    """Trained parameters as they might be after training: none is at its start any more."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def copy_weights(layer: nn.Module) -> Weights:
    """W_down, W_up, their biases and alpha as leaves with gradients of their own."""
    return {part: layer.get_parameter(part).detach().clone().requires_grad_() for part in PARTS}


def add_by_hand(features: torch.Tensor, conv: nn.Conv2d, weights: Weights, padding: Any = None) -> torch.Tensor:
    """alpha * (W_up ReLU(W_down x)): W_down from the columns that each output looks at, W_up channel by channel.

    Args:
        conv: for its kernel, stride, dilation and padding.
        padding: left, right, top and bottom, where `conv` does not name one.
    """
    if padding is None:
        top, left = conv.padding
        padding = (left, left, top, top)
    features = F.pad(features, padding, mode="constant" if conv.padding_mode == "zeros" else conv.padding_mode)
    columns = F.unfold(features, conv.kernel_size, dilation=conv.dilation, stride=conv.stride)
    kernels = weights["down.weight"].flatten(1)  # (width, C_in / width * k * k)
    columns = columns.unflatten(1, kernels.shape)  # (B, width, C_in / width * k * k, h w)
    hidden = (columns * kernels[None, :, :, None]).sum(dim=2) + weights["down.bias"][:, None]
    hidden = hidden.clamp(min=0)  # (B, width, h w)
    added = weights["up.weight"][:, :, 0, 0] @ hidden + weights["up.bias"][:, None]
    reach = [step * (size - 1) + 1 for size, step in zip(conv.kernel_size, conv.dilation, strict=True)]
    sides = [
        (length - span) // step + 1 for length, span, step in zip(features.shape[2:], reach, conv.stride, strict=True)
    ]
    return (weights["alpha"].flatten()[:, None] * added).unflatten(2, sides)  # (B, C_out, h, w)


def build_exact(backbone: str, **knobs: Any) -> tuple[BuiltModel, nn.Module]:
    """A built model in float64 with adapters that are not zero, and the model as it was before."""
    bare = build_bare(backbone)
    before = copy.deepcopy(bare.model).double().eval()
    built = apply_method(bare, RunConfig(method=MethodConfig(name="conv_adapter", knobs=knobs)))
    network = built.adapted.network.double().eval()
    shake(network)
    before.load_state_dict(network.state_dict(), strict=False)  # the head
    return built, before


def find_adapted(network: nn.Module) -> dict[str, AdaptedConv]:
    return {name: module for name, module in network.named_modules() if isinstance(module, AdaptedConv)}


def run_resnet(resnet: nn.Module, images: torch.Tensor, adapters: dict[str, Weights]) -> torch.Tensor:
    """The whole of timm's `test_resnet`, which has no adapters itself, block by block in inference mode."""

    def convolve(name: str, features: torch.Tensor) -> torch.Tensor:
        conv = resnet.get_submodule(name)
        output = F.conv2d(features, conv.weight, stride=conv.stride, padding=conv.padding)
        return output + add_by_hand(features, conv, adapters[name]) if name in adapters else output

    features = images
    for index, module in enumerate(resnet.conv1):
        features = convolve(f"conv1.{index}", features) if isinstance(module, nn.Conv2d) else module(features)
    features = resnet.maxpool(F.relu(resnet.bn1(features)))
    for stage in range(1, 5):
        name = f"layer{stage}.0"
        block = resnet.get_submodule(name)
        shortcut = features if block.downsample is None else block.downsample(features)
        num_convs = 3 if hasattr(block, "conv3") else 2
        for index in range(1, num_convs + 1):
            features = block.get_submodule(f"bn{index}")(convolve(f"{name}.conv{index}", features))
            features = F.relu(features + shortcut if index == num_convs else features)
    return resnet.fc(features.mean(dim=(2, 3)))


def test_conv_adapter_equals_the_paper_in_a_resnet() -> None:
    built, resnet = build_exact("test_resnet", reduction=4)
    network = built.adapted.network
    layers = find_adapted(network)
    assert {name.split(".", 1)[0] for name in layers} == {"conv1", "layer1", "layer2", "layer3", "layer4"}
    assert all(min(layer.conv.kernel_size) > 1 and layer.conv.in_channels > 3 for layer in layers.values())
    adapters = {name: copy_weights(layer) for name, layer in layers.items()}
    images, targets = (tensor.double() for tensor in make_batch())
    logits, expected = network(images), run_resnet(resnet, images, adapters)
    assert (run_resnet(resnet, images, {}) - resnet(images)).abs().max() <= 1e-12  # the walk is the model's own
    assert (expected - resnet(images)).abs().max() > 1e-2  # the adapters are seen
    assert (logits - expected).abs().max() <= 1e-11
    for output in (logits, expected):
        F.binary_cross_entropy_with_logits(output, targets).backward()
    for name, weights in adapters.items():
        for part, wanted in weights.items():
            found = layers[name].get_parameter(part).grad
            assert wanted.grad.abs().max() > 0
            assert (found - wanted.grad).abs().max() <= 1e-11


@pytest.mark.parametrize(
    ("backbone", "hosts"),
    [
        ("tiny_densenet", {"dense"}),
        ("test_convnext", {"depthwise"}),
        ("test_efficientnet", {"dense", "depthwise"}),
        ("regnety_002", {"grouped"}),
    ],
)
def test_conv_adapter_equals_the_paper_beside_every_convolution(backbone: str, hosts: set[str]) -> None:
    """Each on the input that it gets in the model, strided ones among them."""
    built, plain = build_exact(backbone, reduction=4)
    layers, seen, kinds = find_adapted(built.adapted.network), {}, set()
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: (inputs[0].detach().clone(), output.detach())})
        )
    images = make_batch()[0].double()
    built.adapted.network(images)
    assert set(seen) == set(layers)
    for name, (features, output) in seen.items():
        conv = plain.get_submodule(name)
        kinds.add("dense" if conv.groups == 1 else "depthwise" if conv.groups == conv.in_channels else "grouped")
        expected = conv(features) + add_by_hand(features, conv, copy_weights(layers[name]))
        assert (output - expected).abs().max() <= 1e-11 * max(1.0, expected.abs().max().item())
        assert (output - conv(features)).abs().max() > 1e-3
    assert kinds == hosts


def _compute_same_padding(conv: nn.Conv2d, sides: torch.Size) -> tuple[int, int, int, int]:
    """As TensorFlow pads: ceil(side / stride) outputs, the odd pixel after."""
    pads = []
    for side, size, step, gap in zip(sides, conv.kernel_size, conv.stride, conv.dilation, strict=True):
        total = max((math.ceil(side / step) - 1) * step + (size - 1) * gap + 1 - side, 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    return left, right, top, bottom


@pytest.mark.parametrize(
    ("conv", "pads_by_size"),
    [
        (nn.Conv2d(8, 12, 3, padding=1), False),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2), False),
        (nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4), False),
        (nn.Conv2d(8, 12, (3, 5), padding=(1, 2), stride=(1, 2), bias=False), False),
        (nn.Conv2d(8, 12, 3), False),
        (nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"), False),
        (nn.Conv2d(8, 12, (5, 3), padding="same"), True),
        (nn.Conv2d(8, 12, 3, padding="same", dilation=2), True),
        (Conv2dSame(8, 12, 3, stride=2), True),
        (Conv2dSame(8, 8, 5, stride=2, groups=8), True),
        (StdConv2d(8, 12, 3, padding=1), False),
        (StdConv2dSame(8, 12, 3, stride=2), True),
        (ScaledStdConv2d(8, 12, 3, padding=1), False),
        (ScaledStdConv2dSame(8, 12, 3, stride=2), True),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else "",
)
@pytest.mark.parametrize("sides", [(9, 10), (12, 7)])
def test_conv_adapter_beside_convolutions_of_every_kind(
    conv: nn.Conv2d, pads_by_size: bool, sides: tuple[int, int]
) -> None:
    conv = copy.deepcopy(conv).double()
    layer = AdaptedConv(conv, width=4)
    layer.conv.requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 8, *sides, generator=generator, dtype=torch.float64)
    assert torch.equal(layer(features), conv(features))  # the start
    shake(layer)
    weights = copy_weights(layer)
    padding = _compute_same_padding(conv, features.shape[2:]) if pads_by_size else None
    expected = conv(features) + add_by_hand(features, conv, weights, padding)
    output = layer(features)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() <= 1e-12
    slopes = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    (output * slopes).sum().backward()
    (expected * slopes).sum().backward()
    for part, wanted in weights.items():
        assert (layer.get_parameter(part).grad - wanted.grad).abs().max() <= 1e-12
