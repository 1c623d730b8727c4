"""Splitting the fused qkv changes no bit of the output and no gradient."""

import copy

import pytest
import torch
from torch import nn

from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.qkv import SplitQKV, find_fused_qkv, split_qkv

MODELS = [("test_vit", 64), ("test_vit2", 64), ("vit_tiny_patch16_224", 32), ("swin_tiny_patch4_window7_224", 56)]


@pytest.mark.parametrize(("name", "image_size"), MODELS)
@pytest.mark.parametrize("has_bias", [True, False])
def test_split_qkv_is_exact(name: str, image_size: int, has_bias: bool) -> None:
    fused = build_backbone(name, num_classes=3, image_size=image_size).model.eval()
    names = find_fused_qkv(fused)
    if not has_bias:
        for item in names:
            fused.get_submodule(item).bias = None
    split = copy.deepcopy(fused)
    assert split_qkv(split) == names
    assert not find_fused_qkv(split)
    images = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    one, other = fused(images), split(images)
    assert (one - other).abs().max().item() == 0.0
    one.square().sum().backward()
    other.square().sum().backward()
    for item in names:
        layer, parts = fused.get_submodule(item), split.get_submodule(item)
        together = torch.cat([getattr(parts, part).weight.grad for part in ("q", "k", "v")])
        assert torch.allclose(together, layer.weight.grad, rtol=1e-5, atol=1e-6 * layer.weight.grad.abs().max().item())
        assert (parts.q.bias is not None) == has_bias
    assert sum(p.numel() for p in fused.parameters()) == sum(p.numel() for p in split.parameters())


def test_split_qkv_takes_rows_in_order() -> None:
    fused = nn.Linear(4, 12)
    split = SplitQKV(fused)
    assert torch.equal(split.q.weight, fused.weight[:4])
    assert torch.equal(split.k.weight, fused.weight[4:8])
    assert torch.equal(split.v.bias, fused.bias[8:])
    split.q.weight.data.zero_()
    assert fused.weight[:4].any()  # a copy: training the split layer must not change the fused one


def test_find_fused_qkv_finds_none_in_a_cnn() -> None:
    assert find_fused_qkv(build_backbone("test_resnet", num_classes=3, image_size=64).model) == ()
