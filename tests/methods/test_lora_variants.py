"""rsLoRA, DoRA, PiSSA and LoRA+ against their definitions."""

import math
from pathlib import Path

import pytest
import torch
from tiny_models import ARCHITECTURES
from torch import nn
from trials import build, compute_logits, train

from medpeft_core.config import OptimConfig
from medpeft_core.methods.layers.pissa import PissaAdapted
from medpeft_core.training.checkpoint import Position, load_checkpoint, save_checkpoint
from medpeft_core.training.optim import build_optimizer

VIT = ARCHITECTURES["ViT"]
LAYER = "blocks.0.attn.qkv.q"


def _layer(network: nn.Module) -> nn.Module:
    return network.get_submodule(LAYER)


def _inputs() -> torch.Tensor:
    return torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_rslora_scale(rank: int) -> None:
    adapted = build("rslora", VIT, rank=rank, alpha=16).adapted
    assert _layer(adapted.network).scaling["default"] == pytest.approx(16 / math.sqrt(rank))


def test_dora_equals_its_equation() -> None:
    """W' = m (W + s B A) / ||W + s B A||, a length for each output."""
    built = build("dora", VIT, rank=4, dropout=0.0)
    train(built, 3, lr=3e-2)
    layer = _layer(built.adapted.network)
    a, b = (getattr(layer, f"lora_{letter}")["default"].weight.detach() for letter in "AB")
    magnitude = layer.lora_magnitude_vector["default"].weight.detach()  # (out,)
    weight = layer.base_layer.weight + layer.scaling["default"] * b @ a
    direction = weight / weight.norm(dim=1, keepdim=True)
    expected = _inputs() @ (magnitude[:, None] * direction).T + layer.base_layer.bias
    assert (magnitude - layer.base_layer.weight.norm(dim=1)).abs().max() > 0
    torch.testing.assert_close(layer.eval()(_inputs()), expected, rtol=1e-5, atol=1e-5)


def test_pissa_takes_the_largest_singular_values() -> None:
    bare = build("linear", VIT).adapted.network
    adapted = build("pissa", VIT, rank=4, alpha=4.0).adapted
    before = bare.blocks[0].attn.qkv.weight[:64]
    layer = _layer(adapted.network)
    a, b = (getattr(layer, f"lora_{letter}")["default"].weight.detach() for letter in "AB")
    left, values, right = torch.linalg.svd(before.detach())
    torch.testing.assert_close(b @ a, left[:, :4] @ torch.diag(values[:4]) @ right[:4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.base_layer.weight + b @ a, before.detach(), rtol=1e-5, atol=1e-6)


def test_pissa_remainder_is_that_of_the_saved_start(tmp_path: Path) -> None:
    """The user saw: an approximate decomposition came out differently, and the loaded adapter did not fit its base."""
    trained = build("pissa", VIT, seed=1, iterations=2)
    train(trained, 3, lr=1e-3)
    trained.adapted.save(tmp_path)
    fresh = build("pissa", VIT, seed=2, iterations=2)
    assert isinstance(fresh.adapted, PissaAdapted)
    remainders = [_layer(item.adapted.network).base_layer.weight.clone() for item in (trained, fresh)]
    assert not torch.equal(*remainders)
    fresh.adapted.load(tmp_path)
    assert torch.equal(_layer(fresh.adapted.network).base_layer.weight, remainders[0])
    assert torch.equal(compute_logits(fresh.adapted.network), compute_logits(trained.adapted.network))


@pytest.mark.parametrize("method", ["pissa", "adalora", "shira", "vblora"])
def test_checkpoint_restores_what_a_method_drew(method: str, tmp_path: Path) -> None:
    trained = build(method, VIT, seed=1)
    train(trained, 4, lr=1e-3)
    fresh = build(method, VIT, seed=1)
    pairs = [
        (item.adapted, build_optimizer(item.adapted, OptimConfig(lr=1e-3), device="cpu")) for item in (trained, fresh)
    ]
    save_checkpoint(tmp_path, adapted=pairs[0][0], optimizer=pairs[0][1], scaler=None, position=Position(step=4))
    load_checkpoint(tmp_path, adapted=pairs[1][0], optimizer=pairs[1][1], scaler=None, device="cpu")
    assert torch.equal(compute_logits(fresh.adapted.network), compute_logits(trained.adapted.network))
    ours, theirs = fresh.adapted.get_state(), trained.adapted.get_state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_lora_plus_slows_down_every_a_and_nothing_else() -> None:
    """B learns 16 times as fast as A, at the run's rate."""
    adapted = build("lora_plus", VIT, lr_ratio=16).adapted
    groups = build_optimizer(adapted, OptimConfig(lr=1e-3), device="cpu").param_groups
    scales = {name: group["lr_scale"] for group in groups for name in group["names"]}
    assert {scale for name, scale in scales.items() if ".lora_A." in name} == {1 / 16}
    assert {scale for name, scale in scales.items() if ".lora_A." not in name} == {1}


def test_vblora_slows_down_its_bank() -> None:
    adapted = build("vblora", VIT, bank_lr_factor=0.1).adapted
    scales = adapted.lr_scales()
    assert list(scales.values()) == [0.1]
    assert "vector_bank" in next(iter(scales))
