"""Which parameters the selective methods train, counted and by name, and what happens to BatchNorm statistics."""

import re

import pytest
import torch
from timm.layers import DropPath
from torch import nn
from trials import build, build_bare, make_batch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import MethodError
from medpeft_core.training.build import BuiltModel, apply_method

VITS = {  # width, blocks
    "vit_base_patch16_224": (768, 12),
    "vit_large_patch16_224": (1024, 24),
    "vit_huge_patch14_224": (1280, 32),
}
VIT_NORMS = r"(blocks\.\d+\.norm[12]|norm)"
SWIN_NORMS = r"(patch_embed\.norm|norm|layers\.\d\.(downsample\.norm|blocks\.\d\.norm[12]))"
CONVNEXT_NORMS = r"(stem\.1|stages\.\d\.(downsample\.0|blocks\.\d\.norm)|head\.norm)"
DENSENET_NORMS = r"features\.(norm0|norm5|denseblock\d\.denselayer\d+\.norm[12]|transition\d\.norm)"
EFFICIENTNET_NORMS = r"(bn1|bn2|blocks\.\d\.\d\.bn[123])"
RESNET_NORMS = r"(conv1\.[14]|bn1|layer\d\.\d\.(bn\d|downsample\.2))"
BIASES = r".+\.bias"
BOTH = r"\.(weight|bias)"
# (method, backbone) -> what it trains beside the head
SMALL = {
    ("bitfit", "test_vit"): BIASES,
    ("layernorm", "test_vit"): VIT_NORMS + BOTH,
    ("norm", "test_vit"): VIT_NORMS + BOTH,
    ("attention", "test_vit"): r"blocks\.\d\.attn\..+|pos_embed",
    ("bias_norm_attention", "test_vit"): rf"{BIASES}|{VIT_NORMS}\.weight|blocks\.\d\.attn\..+|pos_embed",
    ("attention", "tiny_swin"): r"layers\.\d\.blocks\.\d\.attn\..+",
    ("bias", "test_resnet"): BIASES,
    ("batchnorm", "test_resnet"): RESNET_NORMS + BOTH,
    ("norm", "tiny_densenet"): DENSENET_NORMS + BOTH,
    ("batchnorm", "test_efficientnet"): EFFICIENTNET_NORMS + BOTH,
    ("layernorm", "test_convnext"): CONVNEXT_NORMS + BOTH,
}
LARGE = {
    ("bitfit", "swin_tiny_patch4_window7_224"): BIASES,
    ("norm", "swin_tiny_patch4_window7_224"): SWIN_NORMS + BOTH,
    ("attention", "swin_tiny_patch4_window7_224"): r"layers\.\d\.blocks\.\d\.attn\..+",
    ("bias_norm_attention", "swin_tiny_patch4_window7_224"): rf"{BIASES}|{SWIN_NORMS}\.weight|.+\.attn\..+",
    ("bias", "convnext_tiny"): BIASES,
    ("norm", "convnext_tiny"): CONVNEXT_NORMS + BOTH,
    ("bias", "densenet121"): BIASES,
    ("batchnorm", "densenet121"): DENSENET_NORMS + BOTH,
    ("bias", "efficientnet_b0"): BIASES,
    ("norm", "efficientnet_b0"): EFFICIENTNET_NORMS + BOTH,
}


def _build_large(method: str, backbone: str) -> BuiltModel:
    """With 3 classes, on the meta device: shapes without memory."""
    with torch.device("meta"):
        bare = build_backbone(backbone, num_classes=3, image_size=224)
        return apply_method(bare, RunConfig(method=MethodConfig(name=method)))


def _find(network: nn.Module, head: str, pattern: str) -> set[str]:
    names = {name for name, _ in network.named_parameters()}
    return {name for name in names if re.fullmatch(pattern, name) or name.startswith(f"{head}.")}


@pytest.mark.parametrize(
    ("method", "backbone", "count"),
    [
        ("bias", "resnet50", 32_707),
        ("batchnorm", "resnet50", 59_267),
        ("norm", "resnet50", 59_267),
        ("attention", "vit_base_patch16_224", 28_502_019),
        ("attention", "vit_large_patch16_224", 100_966_403),
        ("attention", "vit_huge_patch14_224", 210_211_843),
    ],
)
def test_selective_counts_equal_the_paper(method: str, backbone: str, count: int) -> None:
    """Dutt et al. 2024, with a 3-class head; ViTs pool by the class token."""
    assert _build_large(method, backbone).adapted.num_trainable_params() == count


@pytest.mark.parametrize("backbone", VITS)
def test_bitfit_and_layernorm_counts_follow_width_and_depth(backbone: str) -> None:
    width, depth = VITS[backbone]
    head = 3 * width + 3
    block_biases = (3 + 1 + 4 + 1 + 1 + 1) * width  # qkv, proj, fc1, fc2 and two norms
    others = 2 * width  # patch embedding and the last norm
    bitfit = _build_large("bitfit", backbone).adapted.num_trainable_params()
    layernorm = _build_large("layernorm", backbone).adapted.num_trainable_params()
    assert bitfit == depth * block_biases + others + head
    assert layernorm == (2 * depth + 1) * 2 * width + head
    printed = {768: (0.105e6, 0.041e6), 1024: (0.275e6, 0.103e6), 1280: (0.457e6, 0.170e6)}[width]
    assert (bitfit, layernorm) == (pytest.approx(printed[0], abs=500), pytest.approx(printed[1], abs=500))


@pytest.mark.parametrize(("method", "backbone"), LARGE)
def test_selective_methods_train_these_and_no_others(method: str, backbone: str) -> None:
    built = _build_large(method, backbone)
    expected = _find(built.adapted.network, built.backbone.head, LARGE[method, backbone])
    assert len(expected) > 20
    assert set(built.adapted.trainable()) == expected


def test_selective_methods_know_tables_gates_and_shortcuts() -> None:
    """Where matching by words goes wrong: tables named like a bias, norms named like layers."""
    swin = "swin_tiny_patch4_window7_224"
    table = "layers.0.blocks.0.attn.relative_position_bias_table"
    assert table not in _build_large("bitfit", swin).adapted.trainable()
    assert table in _build_large("attention", swin).adapted.trainable()
    assert "layer1.0.downsample.1.weight" in _build_large("batchnorm", "resnet50").adapted.trainable()
    assert "blocks.1.0.se.conv_reduce.bias" in _build_large("bias", "efficientnet_b0").adapted.trainable()
    attention = _build_large("attention", "vit_base_patch16_224").adapted.trainable()
    assert not {"patch_embed.proj.weight", "cls_token", "norm.weight"} & set(attention)


@pytest.mark.parametrize("method", ["attention", "bias_norm_attention"])
def test_attention_methods_need_attention(method: str) -> None:
    with pytest.raises(MethodError, match="it needs attention with one fused qkv layer, and this backbone has none"):
        build(method, "test_resnet")


def test_selective_methods_train_fresh_modules_too() -> None:
    bare = build_backbone("test_vit", num_classes=3, image_size=64, pool="avg")
    adapted = apply_method(bare, RunConfig(method=MethodConfig(name="attention"))).adapted
    assert {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"} <= set(adapted.trainable())


@pytest.mark.parametrize(("method", "backbone"), SMALL)
def test_selective_step_equals_plain_torch(method: str, backbone: str) -> None:
    """One step of gradient descent on the chosen parameters of an untouched model gives the same numbers."""
    images, _ = make_batch()
    images, lr = images.double(), 0.1
    uses_batch = method in ("batchnorm", "norm", "bias_norm_attention")
    plain = build_bare(backbone).model.double().train(uses_batch)
    built = build(method, backbone)
    network = built.adapted.network.double()
    built.adapted.set_train_mode()
    for model in (plain, network):
        for module in model.modules():
            if isinstance(module, DropPath):  # timm's Swin drops paths unless told otherwise
                module.drop_prob = 0.0
        model(images).square().sum().backward()
    chosen = _find(plain, built.backbone.head, SMALL[method, backbone])
    own = dict(network.named_parameters())
    assert {name for name, parameter in own.items() if parameter.grad is not None} == chosen
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if name in chosen:
                assert parameter.grad is not None
                assert torch.allclose(own[name].grad, parameter.grad, rtol=1e-9, atol=1e-12), name
                parameter -= lr * parameter.grad
        for parameter in built.adapted.trainable().values():
            parameter -= lr * parameter.grad
        assert torch.allclose(network.eval()(images), plain.eval()(images), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backbone", ["test_resnet", "tiny_densenet", "test_efficientnet"])
def test_statistics_move_with_a_trained_scale_only(backbone: str) -> None:
    images, _ = make_batch()
    moved = {}
    for method in ("bias", "batchnorm", "norm", "ssf", "tsa"):
        adapted = build(method, backbone).adapted
        before = {name: buffer.clone() for name, buffer in adapted.buffers().items()}
        assert any(name.endswith("running_mean") for name in before)
        adapted.set_train_mode()
        adapted.network(images)
        moved[method] = {not torch.equal(before[name], buffer) for name, buffer in adapted.buffers().items()}
    assert moved == {"bias": {False}, "batchnorm": {True}, "norm": {True}, "ssf": {False}, "tsa": {False}}


def test_selective_merge_gives_the_model_itself() -> None:
    adapted = build("layernorm", "test_vit").adapted
    assert adapted.merge() is adapted.network
    assert {name for name, _ in adapted.network.named_parameters()} == {
        name for name, _ in build_bare("test_vit").model.named_parameters()
    }
