"""Convolutions that pad or standardise in ways of their own: taken for plain ones, they compute something else."""

import pytest
import torch
from timm.layers import Conv2dSame, ScaledStdConv2d
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.training.build import apply_method
from medpeft_core.training.model_parts import find_parts

SAME, STANDARDISED = "tf_efficientnetv2_b0", "nf_resnet26"
SIZE = 64
SLOW = ("boft", "hra")


def _build(name: str) -> Backbone:
    return build_backbone(name, num_classes=2, image_size=SIZE)


def _apply(backbone: Backbone, method: str, **knobs: object) -> nn.Module:
    return apply_method(backbone, RunConfig(method=MethodConfig(name=method, knobs=knobs))).adapted.network


@pytest.mark.parametrize(("name", "kind"), [(SAME, Conv2dSame), (STANDARDISED, ScaledStdConv2d)])
def test_special_convolutions_are_kept_apart(name: str, kind: type[nn.Module]) -> None:
    backbone = _build(name)
    parts = find_parts(backbone, wants_split_qkv=False)
    assert parts.special_convs
    assert {type(backbone.model.get_submodule(name)) for name in parts.special_convs} == {kind}
    assert all(type(backbone.model.get_submodule(name)) is nn.Conv2d for name in parts.convs)


@pytest.mark.parametrize("method", [spec.name for spec in METHODS if "targets" in spec.places or spec.name == "ia3"])
def test_methods_on_convolutions_refuse_a_network_that_has_no_plain_one(method: str) -> None:
    with pytest.raises(MethodError, match=r"does not fit 'nf_resnet26': it needs"):
        _apply(_build(STANDARDISED), method)


@pytest.mark.parametrize(
    "method", [spec.name for spec in METHODS if "targets" in spec.places and spec.name not in SLOW]
)
def test_methods_start_at_the_base_beside_special_convolutions(method: str) -> None:
    """The user saw: DoRA passed every check, and its worker died at the first step."""
    backbone = _build(SAME)
    if METHODS[method].find_misfit(backbone.kind, find_parts(backbone, wants_split_qkv=False).traits):
        return
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = backbone.model.eval()(images)
        after = _apply(backbone, method).eval()(images)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_special_convolution_by_name_is_refused_with_the_reason() -> None:
    backbone = _build(SAME)
    name = find_parts(backbone, wants_split_qkv=False).special_convs[0]
    with pytest.raises(MethodError, match="it is no plain convolution"):
        _apply(backbone, "lora", targets=name)
