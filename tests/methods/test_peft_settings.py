"""Settings that peft would take without a word, or refuse in words of its own."""

from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES
from torch import nn
from trials import build, compute_logits

from medpeft_core.config import OptimConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.methods import METHODS
from medpeft_core.training.optim import build_optimizer

VIT, RESNET, CONVNEXT = (ARCHITECTURES[name] for name in ("ViT", "ResNet", "ConvNeXt"))
RANKED = [spec.name for spec in METHODS if "rank" in spec.knobs.__dataclass_fields__]


@pytest.mark.parametrize("method", [name for name in RANKED if name not in ("vera", "shira", "adalora")])
def test_rank_above_the_width_is_refused(method: str) -> None:
    with pytest.raises(
        MethodError, match=r"method.rank is 66, but the layer '.*' is only 64 wide. Use a rank of at most 64"
    ):
        build(method, VIT, rank=66, targets="attn.proj")


def test_rank_of_adalora_is_checked_where_it_starts() -> None:
    with pytest.raises(MethodError, match="method.init_rank is 65, but the layer .* is only 64 wide"):
        build("adalora", VIT, rank=8, init_rank=65)
    with pytest.raises(MethodError, match="method.rank, with its start, is 66, but the layer .* is only 64 wide"):
        build("adalora", VIT, rank=44)


def test_rank_of_shira_that_is_more_than_the_whole_layer_is_refused() -> None:
    with pytest.raises(
        MethodError, match=r"would train more weights than the layer '.*' has. Use a rank of at most 32"
    ):
        build("shira", VIT, rank=33)
    assert build("shira", VIT, rank=32).adapted.num_trainable_params()


@pytest.mark.parametrize("method", RANKED)
@pytest.mark.parametrize("rank", [0, -2])
def test_rank_below_one_is_refused(method: str, rank: int) -> None:
    with pytest.raises(ConfigError, match=rf"method.rank is {rank}, but it must be"):
        build(method, VIT, rank=rank)


def test_odd_number_of_reflections_is_refused() -> None:
    with pytest.raises(ConfigError, match="method.rank is 5, but it must be even"):
        build("hra", VIT, rank=5)


@pytest.mark.parametrize(
    ("method", "knob", "value"),
    [
        ("c3a", "block_size", 48),
        ("oft", "block_size", 24),
        ("vblora", "vector_length", 100),
        ("road", "group_size", 48),
    ],
)
def test_block_that_does_not_divide_says_which_do(method: str, knob: str, value: int) -> None:
    with pytest.raises(MethodError) as caught:
        build(method, VIT, **{knob: value})
    text = str(caught.value)
    assert text.startswith(f"method.{knob} is {value}, which does not divide the layer 'blocks.0.attn.qkv.q' of 64")
    assert text.endswith("These divide all layers: 1, 2, 4, 8, 16, 32, 64. 0 chooses one.")


def test_block_of_boft_must_divide() -> None:
    with pytest.raises(MethodError, match="method.block_size is 6, which does not divide"):
        build("boft", VIT, block_size=6, targets="qkv")


def test_more_frequencies_than_weights_are_refused() -> None:
    with pytest.raises(MethodError, match=r"num_frequencies is 5000, but the layer '.*' has 4096 weights"):
        build("fourierft", VIT, num_frequencies=5000)


def test_oft_refuses_kernels_above_one_and_says_why() -> None:
    with pytest.raises(MethodError, match=r"OFT cannot adapt 'layer1.0.conv1' of .*wrong on kernels above 1"):
        build("oft", RESNET, targets="layer1.0.conv1")


def test_oft_takes_only_the_small_kernels_by_itself() -> None:
    network = build("oft", RESNET).adapted.network
    wrapped = [module for module in network.modules() if hasattr(module, "oft_R")]
    assert wrapped
    assert all(module.base_layer.kernel_size == (1, 1) for module in wrapped)


def test_what_peft_does_wrong_on_kernels_above_one_is_still_wrong() -> None:
    """When this fails, peft has mended it, and the refusal can go."""
    from peft import OFTConfig, get_peft_model

    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1))
    images = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    before = model(images)
    adapted = get_peft_model(model, OFTConfig(oft_block_size=8, target_modules=["0"]))
    assert (adapted(images) - before).abs().max() > 0.1


@pytest.mark.parametrize("method", [spec.name for spec in METHODS if spec.requires == ("linear",)])
def test_methods_for_linear_layers_refuse_convolutions(method: str) -> None:
    with pytest.raises(MethodError, match="it adapts Linear layers only, and this is a convolution"):
        build(method, CONVNEXT, targets="downsample.1")
    with pytest.raises(MethodError, match="needs Linear layers before its head, and this backbone has none"):
        build(method, RESNET)


@pytest.mark.parametrize("method", [spec.name for spec in METHODS if "targets" in spec.knobs.__dataclass_fields__])
def test_targets_that_match_nothing_list_what_there_is(method: str) -> None:
    with pytest.raises(MethodError, match=r"'fc9' matched 0 of its \d+ layers. Layers there end in '.*Use --targets"):
        build(method, VIT, targets="fc9")
    with pytest.raises(ConfigError, match="method.targets is ' '"):
        build(method, VIT, targets=" ")


def test_ia3_scales_keys_values_and_the_inside_of_the_mlp() -> None:
    adapted = build("ia3", VIT).adapted
    places = {name.split(".ia3_l")[0].split(".", 2)[-1] for name in adapted.trainable() if "ia3_l" in name}
    assert places == {"attn.qkv.k", "attn.qkv.v", "mlp.fc2"}
    sizes = {name: item.numel() for name, item in adapted.trainable().items() if "ia3_l" in name}
    assert sizes["blocks.0.mlp.fc2.ia3_l.default"] == adapted.network.blocks[0].mlp.fc1.out_features


@pytest.mark.parametrize("knobs", [{"targets": "all"}, {"targets": "attn.proj,mlp"}, {"targets": "qkv"}])
def test_other_targets_start_at_the_base_too(knobs: dict[str, Any]) -> None:
    knobs = {**knobs, "targets": knobs["targets"].replace("mlp", "mlp.fc1")}
    base = compute_logits(build("linear", VIT).adapted.network)
    for method in ("oft", "c3a", "miss", "road", "vera", "loha"):
        start = compute_logits(build(method, VIT, **knobs).adapted.network)
        assert (start - base).abs().max().item() <= 1e-5, method


@pytest.mark.parametrize(
    ("method", "backbone", "part"),
    [
        ("ia3", VIT, ".ia3_l."),
        ("ia3", RESNET, ".ia3_l."),
        ("boft", VIT, ".boft_s."),
        ("dora", RESNET, ".lora_magnitude_vector."),
        ("pissa", VIT, ".lora_A."),
        ("conv_adapter", RESNET, ".alpha"),
    ],
)
def test_weight_decay_leaves_factors_alone(method: str, backbone: str, part: str) -> None:
    """Decayed towards 0, a factor that means "no change" at 1 would switch its feature off."""
    adapted = build(method, backbone).adapted
    groups = build_optimizer(adapted, OptimConfig(lr=1e-3, weight_decay=0.05), device="cpu").param_groups
    decays = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert {decay for name, decay in decays.items() if part in name} == {0.0}
    assert 0.05 in decays.values()
