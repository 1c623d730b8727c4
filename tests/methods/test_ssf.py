"""SSF against its equation on a ViT and on single layers, its merge, its places, and its parameters counted."""

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, GroupNormAct, LayerNorm2d, LayerNormAct2d, RmsNorm, RmsNorm2d
from torch import nn
from trials import build, build_bare, compute_logits, make_batch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.methods.layers.scale_shift import ScaleShift, SsfModel
from medpeft_core.training.build import BuiltModel, apply_method
from medpeft_core.training.optim import find_layer_distances

Tensors = dict[str, torch.Tensor]
VITS = {
    "vit_base_patch16_224": 205_824,
    "vit_large_patch16_224": 544_768,
    "vit_huge_patch14_224": 906_240,
}
SWIN_PLACES = (
    r"patch_embed\.(proj|norm)|norm|layers\.\d\.downsample\.(norm|reduction)"
    r"|layers\.\d\.blocks\.\d\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12])"
)
CNN_PLACES = {
    "resnet50": r"bn1|layer\d\.\d\.(bn\d|downsample\.1)",
    "densenet121": r"features\.(norm0|norm5|denseblock\d\.denselayer\d+\.norm[12]|transition\d\.norm)",
    "efficientnet_b0": r"bn1|bn2|blocks\.\d\.\d\.bn[123]",
    "convnext_tiny": r"stem\.1|head\.norm|stages\.\d\.(downsample\.0|blocks\.\d\.(norm|mlp\.fc[12]))",
}


def _build_large(backbone: str) -> BuiltModel:
    """With 3 classes, on the meta device: shapes without memory."""
    with torch.device("meta"):
        bare = build_backbone(backbone, num_classes=3, image_size=224)
        return apply_method(bare, RunConfig(method=MethodConfig(name="ssf")))


def _disturb(network: nn.Module) -> None:
    """Scales around 1 and shifts around 0, as if trained; BatchNorm statistics that are not those of a new layer."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, ScaleShift):
            for parameter in module.parameters():
                noise = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
                parameter.data += 0.2 * noise
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            module.running_mean += 0.3 * torch.randn(module.num_features, generator=generator).to(torch.float64)


def _compute_vit(weights: Tensors, ssf: Tensors, images: torch.Tensor) -> torch.Tensor:
    """The ViT of timm's `test_vit` with SSF behind each operation, written out; (B, K)."""
    heads, depth, eps = 2, 6, 1e-6

    def after(name: str, x: torch.Tensor) -> torch.Tensor:
        return ssf[f"{name}.ssf.scale"] * x + ssf[f"{name}.ssf.shift"]

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return after(name, x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        deviation = x - x.mean(-1, keepdim=True)
        unit = deviation / (deviation.square().mean(-1, keepdim=True) + eps).sqrt()
        return after(name, unit * weights[f"{name}.weight"] + weights[f"{name}.bias"])

    patches = F.conv2d(images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=16)
    x = after("patch_embed.proj", patches.flatten(2).transpose(1, 2))
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], dim=1) + weights["pos_embed"]
    for block in (f"blocks.{index}" for index in range(depth)):
        qkv = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x))
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        weighted = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + linear(f"{block}.attn.proj", weighted.transpose(1, 2).flatten(2))
        hidden = F.gelu(linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x)))
        x = x + linear(f"{block}.mlp.fc2", hidden)
    return norm("norm", x)[:, 0] @ weights["head.weight"].T + weights["head.bias"]


def test_ssf_on_a_vit_equals_the_equation() -> None:
    """Values, and the gradient of every trained parameter."""
    images = make_batch()[0].double()
    adapted = build("ssf", "test_vit").adapted
    network = adapted.network.double()
    _disturb(network)
    weights = {name: item.detach().double() for name, item in build_bare("test_vit").model.named_parameters()}
    trained = adapted.trainable()
    ssf = {name: item.detach().clone().requires_grad_() for name, item in trained.items()}
    weights |= {name: ssf[name] for name in ("head.weight", "head.bias")}
    network.eval()
    found, expected = network(images), _compute_vit(weights, ssf, images)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    for logits in (found, expected):
        logits.square().sum().backward()
    assert len(ssf) == 2 * (6 * 6 + 2) + 2
    for name, parameter in trained.items():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, ssf[name].grad, rtol=1e-8, atol=1e-10), name


def _standardise(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    deviation = x - x.mean(axes, keepdim=True)
    return deviation / (deviation.square().mean(axes, keepdim=True) + eps).sqrt()


def _on_maps(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.view(1, -1, 1, 1)


MAPS, TOKENS = (2, 6, 6, 6), (2, 5, 6)  # six everywhere, so that a wrong axis is not noticed by its size
Norm = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def _group_norm(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return _standardise(x.unflatten(1, (2, 3)), (2, 3, 4), 1e-5).flatten(1, 2)


def _batch_norm(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (x - _on_maps(layer.running_mean)) / _on_maps(layer.running_var + 1e-5).sqrt()


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], Norm]] = {
    "BatchNorm2d": (nn.BatchNorm2d(6), MAPS, _batch_norm),
    "BatchNormAct2d": (BatchNormAct2d(6, act_layer=nn.SiLU), MAPS, _batch_norm),
    "BatchNormAct2d in place": (BatchNormAct2d(6), MAPS, _batch_norm),
    "GroupNorm": (nn.GroupNorm(2, 6), MAPS, _group_norm),
    "GroupNormAct": (GroupNormAct(6, num_groups=2), MAPS, _group_norm),
    "LayerNorm": (nn.LayerNorm(6), TOKENS, lambda _, x: _standardise(x, (-1,), 1e-5)),
    "LayerNorm on maps": (nn.LayerNorm(6), MAPS, lambda _, x: _standardise(x, (-1,), 1e-5)),
    "LayerNorm2d": (LayerNorm2d(6), MAPS, lambda _, x: _standardise(x, (1,), 1e-6)),
    "LayerNormAct2d": (LayerNormAct2d(6, act_layer=nn.GELU), MAPS, lambda _, x: _standardise(x, (1,), 1e-5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_ssf_comes_between_norm_and_activation(name: str) -> None:
    """Values, gradients and merge of a single norm whose own scale and shift are not 1 and 0."""
    layer, shape, normalise = LAYERS[name]
    generator = torch.Generator().manual_seed(1)
    layer = layer.double().eval()
    with torch.no_grad():
        for own in (layer.weight, layer.bias):
            own.copy_(torch.randn(6, generator=generator))
    x = torch.randn(shape, generator=generator).double()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    activate = getattr(layer, "act", nn.Identity())
    is_on_maps = len(shape) == 4 and name != "LayerNorm on maps"
    spread = _on_maps if is_on_maps else (lambda numbers: numbers)
    model = SsfModel(nn.Sequential(layer), ("0",))
    _disturb(model.network)
    part = next(module for module in model.network.modules() if isinstance(module, ScaleShift))
    scale, shift = (item.detach().clone().requires_grad_() for item in part.parameters())
    normed = normalise(layer, x) * spread(weight) + spread(bias)
    expected = activate((spread(scale) * normed + spread(shift)).clone())
    found = model.network(x)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    for output in (found, expected):
        output.square().sum().backward()
    for parameter, reference in zip(part.parameters(), (scale, shift), strict=True):
        assert torch.allclose(parameter.grad, reference.grad, rtol=1e-9, atol=1e-12)
    merged = model.merge()
    assert type(merged[0]) is type(layer)
    assert not any(isinstance(module, ScaleShift) for module in merged.modules())
    assert torch.allclose(merged(x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 6, bias=False), TOKENS),
        (nn.Linear(6, 6), MAPS),
        (nn.Conv2d(6, 6, 3, stride=2, bias=False), MAPS),
        (nn.Conv2d(6, 6, 2, groups=3), MAPS),
        (nn.LayerNorm(6, bias=False), TOKENS),
        (RmsNorm(6), TOKENS),
        (RmsNorm2d(6), MAPS),
        (nn.RMSNorm(6), TOKENS),
    ],
)
def test_ssf_merges_into_layers_with_and_without_bias(layer: nn.Module, shape: tuple[int, ...]) -> None:
    is_rms = "norm" in type(layer).__name__.lower() and not isinstance(layer, nn.LayerNorm)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    plain = layer(x).detach()
    model = SsfModel(nn.Sequential(layer), ("0",))
    _disturb(model.network)
    part = next(module for module in model.network.modules() if isinstance(module, ScaleShift))
    spread = _on_maps if isinstance(layer, nn.Conv2d | RmsNorm2d) else (lambda numbers: numbers)
    expected = spread(part.scale.detach()) * plain
    if is_rms:
        assert part.shift is None
    else:
        assert part.shift is not None
        expected = expected + spread(part.shift.detach())
    assert torch.allclose(model.network(x), expected, atol=1e-6)
    merged = model.merge()
    assert merged[0] is layer
    assert torch.allclose(merged(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    "backbone", ["test_vit", "tiny_swin", "test_resnet", "tiny_densenet", "test_convnext", "test_efficientnet"]
)
def test_ssf_merged_model_is_the_plain_one_again(backbone: str) -> None:
    adapted = build("ssf", backbone).adapted
    _disturb(adapted.network)
    before = compute_logits(adapted.network)
    moved = (before - compute_logits(build_bare(backbone).model)).abs().max().item()
    merged = adapted.merge()
    assert moved > 0.01
    assert (compute_logits(merged) - before).abs().max().item() <= 1e-5 * max(1.0, before.abs().max().item())
    plain = {name for name, _ in build_bare(backbone).model.named_modules()}
    assert {name for name, _ in merged.named_modules()} == plain


@pytest.mark.parametrize("backbone", VITS)
def test_ssf_counts_equal_the_paper(backbone: str) -> None:
    """Dutt et al. 2024, without the head."""
    adapted = _build_large(backbone).adapted
    trained = {name: item.numel() for name, item in adapted.trainable().items() if not name.startswith("head.")}
    assert sum(trained.values()) == VITS[backbone]
    assert all(".ssf." in name for name in trained)


def test_ssf_count_on_resnet50() -> None:
    assert _build_large("resnet50").adapted.num_trainable_params() == 53_120 + 6_147


@pytest.mark.parametrize(("backbone", "pattern"), [*CNN_PLACES.items(), ("swin_tiny_patch4_window7_224", SWIN_PLACES)])
def test_ssf_is_in_these_places_and_no_others(backbone: str, pattern: str) -> None:
    built = _build_large(backbone)
    parts = [name for name, module in built.adapted.network.named_modules() if isinstance(module, ScaleShift)]
    found = {re.sub(r"(\.drop)?\.ssf$", "", name) for name in parts}
    names = {name for name, _ in built.adapted.network.named_modules()}
    assert len(found) == len(parts) > 20
    assert found == {name for name in names if re.fullmatch(pattern, name)}


def test_ssf_leaves_out_convolutions_that_standardise_their_weight() -> None:
    """A scale on such a weight would be standardised away, and the merged model was another one."""
    bare = build_backbone("vit_tiny_r_s16_p8_224", num_classes=2, image_size=64)
    images = make_batch()[0]
    adapted = apply_method(bare, RunConfig(method=MethodConfig(name="ssf"))).adapted
    assert type(adapted.network.get_submodule("patch_embed.backbone.conv")).__name__ == "StdConv2dSame"
    _disturb(adapted.network)
    adapted.network.eval()
    with torch.no_grad():
        before = adapted.network(images)
        assert torch.allclose(adapted.merge()(images), before, atol=1e-5)


def test_ssf_keeps_the_paths_of_layers() -> None:
    """Class activation maps and layer decay find layers by their names."""
    built = build("ssf", "test_vit")
    network = built.adapted.network
    assert isinstance(network.get_submodule(built.backbone.cam_layer), nn.Module)
    distances = find_layer_distances(network)
    own = find_layer_distances(build_bare("test_vit").model)
    for name in built.adapted.trainable():
        if ".ssf." in name:
            assert distances[name] == own[name.replace(".ssf.scale", ".weight").replace(".ssf.shift", ".bias")], name


def test_ssf_under_mixed_precision_keeps_the_precision_of_features() -> None:
    network = SsfModel(nn.Sequential(nn.Linear(6, 6)), ("0",)).network
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = network(torch.randn(2, 6))
    assert features.dtype == torch.bfloat16
    features.float().square().sum().backward()
    part = network.get_submodule("0.ssf")
    assert {item.grad.dtype for item in part.parameters() if item.grad is not None} == {torch.float32}
