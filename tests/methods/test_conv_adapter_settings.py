"""Conv-Adapter's trained parameters, counted, how they start, and the settings and models that it must refuse."""

import copy
import math

import pytest
import torch
from timm.layers import Conv2dSame
from tiny_models import IMAGE_SIZE
from torch import nn
from trials import build, make_batch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.methods import METHODS, ModelParts
from medpeft_core.methods.conv_adapter import ConvAdapterKnobs, build_conv_adapter
from medpeft_core.methods.layers.conv_adapter import AdaptedConv, choose_width
from medpeft_core.training.build import apply_method

PARTS = ("down.weight", "down.bias", "up.weight", "up.bias", "alpha")


def find_adapted(network: nn.Module) -> dict[str, AdaptedConv]:
    return {name: module for name, module in network.named_modules() if isinstance(module, AdaptedConv)}


def _count(plan: list[tuple[int, int, int, int]], reduction: int) -> int:
    """Of (how many, C_in, C_out, kernel): W_down and its bias, W_up and its bias, alpha."""
    return sum(
        number * (c_in * kernel**2 + c_in // reduction + c_in // reduction * c_out + 2 * c_out)
        for number, c_in, c_out, kernel in plan
    )


RESNET50 = [(3, 64, 64, 3), (4, 128, 128, 3), (6, 256, 256, 3), (3, 512, 512, 3)]
CONVNEXT_TINY = [(3, 96, 96, 7), (3, 192, 192, 7), (9, 384, 384, 7), (3, 768, 768, 7)]
DENSENET121 = [(6 + 12 + 24 + 16, 128, 32, 3)]


@pytest.mark.parametrize(
    ("backbone", "plan", "reduction", "num_features"),
    [
        ("resnet50", RESNET50, 4, 2048),
        ("resnet50", RESNET50, 8, 2048),
        ("convnext_tiny", CONVNEXT_TINY, 4, 768),
        ("densenet121", DENSENET121, 4, 1024),
    ],
)
def test_conv_adapter_counts(
    backbone: str, plan: list[tuple[int, int, int, int]], reduction: int, num_features: int
) -> None:
    with torch.device("meta"):
        bare = build_backbone(backbone, num_classes=3, image_size=224)
        config = RunConfig(method=MethodConfig(name="conv_adapter", knobs={"reduction": reduction}))
        adapted = apply_method(bare, config).adapted
    assert adapted.num_trainable_params() == _count(plan, reduction) + 3 * num_features + 3


def test_conv_adapter_starts_as_it_says() -> None:
    for layer in find_adapted(build("conv_adapter", "test_resnet").adapted.network).values():
        bound = 1 / math.sqrt(layer.down.weight[0].numel())
        assert layer.down.weight.abs().max().item() <= bound
        assert layer.down.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)
        assert not any(tensor.any() for tensor in (layer.down.bias, layer.up.weight, layer.up.bias))
        assert torch.equal(layer.alpha, torch.ones(layer.conv.out_channels))


@pytest.mark.parametrize(
    ("channels", "reduction", "width"),
    [(64, 4, 16), (64, 1, 64), (64, 64, 1), (64, 3, 16), (30, 4, 6), (13, 4, 1), (24, 5, 4)],
)
def test_conv_adapter_width_divides_the_channels(channels: int, reduction: int, width: int) -> None:
    """64 // 3 is 21, of which 16 is the next below that divides 64."""
    assert choose_width(channels, reduction) == width
    layer = AdaptedConv(nn.Conv2d(channels, 5, 3, padding=1), width=width)
    assert layer(torch.ones(1, channels, 4, 4)).shape == (1, 5, 4, 4)


def test_conv_adapter_trains_the_adapters_and_the_head() -> None:
    trained = build("conv_adapter", "test_efficientnet").adapted.trainable()
    adapters = {name for name in trained if not name.startswith("classifier.")}
    assert {name for name in trained if name not in adapters} == {"classifier.weight", "classifier.bias"}
    assert all(name.endswith(PARTS) for name in adapters)
    assert not any(".se." in name for name in adapters)


def test_conv_adapter_deep_copies_are_apart() -> None:
    network = build("conv_adapter", "test_resnet").adapted.network.eval()
    images = make_batch()[0]
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(images)
        twin.layer4[0].conv2.up.bias += 1
        assert torch.equal(network(images), before)
        assert not torch.allclose(twin(images), before, atol=1e-3)


def test_conv_adapter_refuses_a_reduction_that_leaves_no_channel() -> None:
    with pytest.raises(MethodError) as caught:
        build("conv_adapter", "test_resnet", reduction=17)
    assert str(caught.value) == (
        "method.reduction is 17, but the convolution 'conv1.3' reads only 16 channels. Use at most 16, better 2 to 8."
    )
    assert build("conv_adapter", "test_resnet", reduction=16).adapted.num_trainable_params()


@pytest.mark.parametrize("value", [0, -4])
def test_conv_adapter_refuses_bad_knobs(value: int) -> None:
    with pytest.raises(ConfigError, match=f"method.reduction is {value}, but it must be 1 or more"):
        build("conv_adapter", "test_resnet", reduction=value)


class _OwnConv(nn.Conv2d):
    """A convolution that pads in a way of its own."""


def test_conv_adapter_leaves_unknown_convolutions_out_and_refuses_when_none_is_left() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), _OwnConv(4, 4, 3), nn.Linear(4, 2))
    parts = ModelParts(backbone="made", kind="cnn", head="2", spatial_convs=("0", "1"))
    adapted = build_conv_adapter(model, parts, ConvAdapterKnobs(reduction=2))
    assert [type(module) for module in model[:2]] == [AdaptedConv, _OwnConv]
    assert {name.split(".")[0] for name in adapted.trainable()} == {"0", "2"}
    other = nn.Sequential(_OwnConv(4, 4, 3), nn.Linear(4, 2))
    parts = ModelParts(backbone="made", kind="cnn", head="1", spatial_convs=("0",))
    with pytest.raises(
        MethodError, match="above 1, such as '0', are of the kind _OwnConv, and how that pads is not known"
    ):
        build_conv_adapter(other, parts, ConvAdapterKnobs())
    assert all(parameter.requires_grad for parameter in other.parameters())  # nothing was done to it


def test_conv_adapter_works_where_convolutions_pad_by_size() -> None:
    """timm's `tf_` models; the start is the base, and its strided maps keep their sizes."""
    bare = build_backbone("tf_efficientnet_b0", num_classes=2, image_size=IMAGE_SIZE)
    images = make_batch()[0]
    with torch.no_grad():
        base = bare.model.eval()(images)
        network = apply_method(bare, RunConfig(method=MethodConfig(name="conv_adapter"))).adapted.network.eval()
        assert any(isinstance(layer.down, Conv2dSame) for layer in find_adapted(network).values())
        assert torch.equal(network(images), base)


def test_conv_adapter_cannot_be_merged() -> None:
    with pytest.raises(MethodError, match="'conv_adapter' cannot be merged into its backbone: the ReLU in its"):
        build("conv_adapter", "test_resnet").adapted.merge()


def test_conv_adapter_fits_convolutional_networks_only() -> None:
    assert METHODS["conv_adapter"].fits == ("cnn",)
    with pytest.raises(MethodError, match="it needs convolutions with a kernel above 1 inside its blocks"):
        build("conv_adapter", "test_vit")
