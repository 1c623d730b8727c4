"""Task-specific adapters against their equation on a residual block, their merge, their start, and their count."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trials import build, build_bare, compute_logits

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.methods.layers.parallel_conv import ParallelConv, TsaModel
from medpeft_core.training.build import apply_method


def _disturb(network: nn.Module) -> None:
    """Adapters as if trained, and BatchNorm statistics that are not those of a new layer."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, ParallelConv):
            module.adapter.weight.data += 0.1 * torch.randn(module.adapter.weight.shape, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean += 0.3 * torch.randn(module.num_features, generator=generator)


def test_tsa_block_equals_the_equation() -> None:
    """The second residual block of timm's `test_resnet`, at stride 2: values and gradients of both adapters."""
    network = build("tsa", "test_resnet").adapted.network
    _disturb(network)
    network = network.double().eval()
    block = network.get_submodule("layer2.0")
    x = torch.randn(2, 32, 10, 10, generator=torch.Generator().manual_seed(1)).double()
    matrices = [
        block.get_submodule(name).adapter.weight[:, :, 0, 0].detach().clone().requires_grad_()
        for name in ("conv1", "conv2")
    ]
    state = {name: tensor.detach() for name, tensor in block.state_dict().items()}

    def norm(name: str, y: torch.Tensor) -> torch.Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{item}"].view(1, -1, 1, 1) for item in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / (var + 1e-5).sqrt() * weight + bias

    def adapt(matrix: torch.Tensor, y: torch.Tensor, step: int) -> torch.Tensor:
        return torch.einsum("oi,bihw->bohw", matrix, y[:, :, ::step, ::step])

    inner = F.conv2d(x, state["conv1.conv.weight"], stride=2, padding=1) + adapt(matrices[0], x, 2)
    inner = norm("bn1", inner).clamp(min=0)
    outer = F.conv2d(inner, state["conv2.conv.weight"], padding=1) + adapt(matrices[1], inner, 1)
    pooled = x.unflatten(3, (5, 2)).unflatten(2, (5, 2)).mean((3, 5))
    shortcut = norm("downsample.2", torch.einsum("oi,bihw->bohw", state["downsample.1.weight"][:, :, 0, 0], pooled))
    expected = (norm("bn2", outer) + shortcut).clamp(min=0)
    found = block(x)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    for output in (found, expected):
        output.square().sum().backward()
    for name, matrix in zip(("conv1", "conv2"), matrices, strict=True):
        gradient = block.get_submodule(f"{name}.adapter").weight.grad[:, :, 0, 0]
        assert matrix.grad is not None
        assert matrix.grad.abs().max() > 0
        assert torch.allclose(gradient, matrix.grad, rtol=1e-9, atol=1e-10)
    assert block.get_submodule("conv1").conv.weight.grad is None


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [9, 12])
def test_tsa_merges_into_the_centre_tap(kernel: int, stride: int, dilation: int, size: int) -> None:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(4, 6, kernel, stride=stride, padding=padding, dilation=dilation)
    model = TsaModel(nn.Sequential(conv), ("0",), init_scale=1e-4)
    _disturb(model.network)
    x = torch.randn(2, 4, size, size, generator=torch.Generator().manual_seed(2))
    before = model.network(x).detach()
    assert (before - conv(x)).abs().max().item() > 0.1
    merged = model.merge()
    assert merged[0] is conv
    assert torch.allclose(merged(x), before, atol=1e-5)


@pytest.mark.parametrize("backbone", ["test_resnet", "tiny_densenet", "test_efficientnet"])
def test_tsa_merged_model_is_the_plain_one_again(backbone: str) -> None:
    adapted = build("tsa", backbone).adapted
    _disturb(adapted.network)
    before = compute_logits(adapted.network)
    moved = (before - compute_logits(build_bare(backbone).model)).abs().max().item()
    merged = adapted.merge()
    assert moved > 0.01
    assert (compute_logits(merged) - before).abs().max().item() <= 1e-5 * max(1.0, before.abs().max().item())
    plain = {name for name, _ in build_bare(backbone).model.named_modules()}
    assert {name for name, _ in merged.named_modules()} == plain


def test_tsa_on_resnet50_is_that_of_the_paper() -> None:
    """Dutt et al. 2024: 10.6M, beside every convolution of the blocks, none at stem and shortcuts."""
    with torch.device("meta"):
        bare = build_backbone("resnet50", num_classes=3, image_size=224)
        adapted = apply_method(bare, RunConfig(method=MethodConfig(name="tsa"))).adapted
    trained = {name: item for name, item in adapted.trainable().items() if not name.startswith("fc.")}
    assert sum(item.numel() for item in trained.values()) == 10_616_832
    assert len(trained) == 3 * (3 + 4 + 6 + 3)
    assert all(re.fullmatch(r"layer[1-4]\.\d\.conv[123]\.adapter\.weight", name) for name in trained)
    assert adapted.num_trainable_params() == 10_616_832 + 3 * 2048 + 3


def test_tsa_starts_as_a_small_identity() -> None:
    for init_scale in (1e-4, 0.5):
        network = build("tsa", "test_resnet", init_scale=init_scale).adapted.network
        adapters = [module.adapter.weight for module in network.modules() if isinstance(module, ParallelConv)]
        assert any(len(weight) != weight.shape[1] for weight in adapters)
        for weight in adapters:
            expected = torch.zeros(weight.shape)
            for channel in range(min(weight.shape[:2])):
                expected[channel, channel] = init_scale
            assert torch.equal(weight.detach(), expected)


def test_tsa_starts_at_the_base_with_init_scale_zero() -> None:
    base = compute_logits(build_bare("test_resnet").model)
    start = compute_logits(build("tsa", "test_resnet", init_scale=0.0).adapted.network)
    torch.testing.assert_close(start, base, rtol=0, atol=1e-6)  # another memory layout rounds differently
    distance = (compute_logits(build("tsa", "test_resnet").adapted.network) - base).abs().max().item()
    assert 0 < distance < 0.01


@pytest.mark.parametrize("init_scale", [-0.1, 1.5])
def test_tsa_refuses_odd_init_scales(init_scale: float) -> None:
    with pytest.raises(ConfigError, match=f"method.init_scale is {init_scale}, but it must be between 0 and 1"):
        build("tsa", "test_resnet", init_scale=init_scale)


@pytest.mark.parametrize("backbone", ["test_vit", "tiny_swin", "test_convnext"])
def test_tsa_refuses_backbones_without_residual_convolutions(backbone: str) -> None:
    with pytest.raises(MethodError, match="it needs blocks of several convolutions, and this backbone has none"):
        build("tsa", backbone)
