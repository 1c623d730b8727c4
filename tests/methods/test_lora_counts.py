"""LoRA's trained parameters, counted, and the settings that it must refuse."""

import math

import pytest
import torch
from peft import LoraConfig
from torch import nn

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.methods import ModelParts
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.methods.peft_adapted import adapt_by_peft, match_exactly
from medpeft_core.training.build import apply_method


def _lora(name: str, *, num_classes: int, image_size: int, pool: str | None = None, **knobs: object) -> AdaptedModel:
    """On the meta device: shapes without memory."""
    with torch.device("meta"):
        bare = build_backbone(name, num_classes=num_classes, image_size=image_size, pool=pool)
        return apply_method(bare, RunConfig(method=MethodConfig(name="lora", knobs=knobs))).adapted


@pytest.mark.parametrize(
    ("rank", "count"), [(4, 159_758), (8, 307_214), (16, 602_126), (32, 1_191_950), (64, 2_371_598)]
)
def test_lora_counts_equal_the_paper(rank: int, count: int) -> None:
    """Lian et al. 2024, ViT-B/16, q and v, mean pooling, 14 labels."""
    adapted = _lora("vit_base_patch16_224", num_classes=14, image_size=224, pool="avg", rank=rank, targets="q,v")
    assert adapted.num_trainable_params() == count
    lora = sum(p.numel() for name, p in adapted.trainable().items() if ".lora_" in name)
    assert lora == 12 * 2 * 2 * 768 * rank
    others = {name for name in adapted.trainable() if ".lora_" not in name}
    assert {name.split(".")[0] for name in others} == {"head", "fc_norm"}


def test_lora_count_of_the_first_command() -> None:
    adapted = _lora("vit_tiny_patch16_224", num_classes=5, image_size=112, pool="avg", rank=8, targets="q,v")
    assert adapted.num_trainable_params() == 75_077


def test_lora_count_in_float_weights_equals_meta() -> None:
    bare = build_backbone("vit_tiny_patch16_224", num_classes=5, image_size=112, pool="avg")
    config = RunConfig(method=MethodConfig(name="lora", knobs={"rank": 8, "targets": "q,v"}))
    assert apply_method(bare, config).adapted.num_trainable_params() == 75_077


@pytest.mark.parametrize(
    ("targets", "endings"),
    [
        ("q,v", {"q", "v"}),
        ("auto", {"q", "v"}),
        ("qkv", {"qkv"}),
        ("all", {"qkv", "proj", "fc1", "fc2"}),
    ],
)
def test_lora_targets_of_a_vit(targets: str, endings: set[str]) -> None:
    adapted = _lora("test_vit", num_classes=3, image_size=64, targets=targets)
    places = [name.split(".lora_A")[0] for name in adapted.trainable() if ".lora_A" in name]
    assert {place.rsplit(".", 1)[-1] for place in places} == endings
    assert len(places) == 6 * len(endings)
    assert all(place.startswith("blocks.") for place in places)  # never the patch embedding, which also ends in proj


def test_lora_targets_of_a_swin() -> None:
    adapted = _lora("swin_tiny_patch4_window7_224", num_classes=3, image_size=56, targets="q,v", rank=4)
    places = [name for name in adapted.trainable() if ".lora_A" in name]
    assert len(places) == 2 * (2 + 2 + 6 + 2)


def test_lora_all_on_resnet50_leaves_the_stem() -> None:
    with torch.device("meta"):
        bare = build_backbone("resnet50", num_classes=5, image_size=224)
    expected = sum(
        8 * (conv.weight[0].numel() + conv.out_channels)
        for name, conv in bare.model.named_modules()
        if isinstance(conv, nn.Conv2d) and name.startswith("layer")
    )
    adapted = _lora("resnet50", num_classes=5, image_size=224, targets="all", rank=8)
    assert adapted.num_trainable_params() == expected + 2048 * 5 + 5
    assert not any(name.startswith("conv1.") for name in adapted.trainable())


def test_lora_share_on_resnet50_equals_the_measured_one() -> None:
    """2.48 % was measured with peft on the convolutions of the residual branches, the shortcuts' left out."""
    with torch.device("meta"):
        model = build_backbone("resnet50", num_classes=5, image_size=224).model
        names = tuple(
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d) and name.startswith("layer") and "downsample" not in name
        )
        config = LoraConfig(r=8, target_modules=match_exactly(names))
        adapted = adapt_by_peft(model, config, ModelParts(backbone="resnet50", kind="cnn", head="fc"), method="lora")
    assert 100 * adapted.num_trainable_params() / adapted.num_params() == pytest.approx(2.48, abs=0.005)


@pytest.mark.parametrize("rank", [0, -3])
def test_lora_refuses_rank_below_one(rank: int) -> None:
    with pytest.raises(ConfigError, match=f"method.rank is {rank}, but it must be 1 or more"):
        _lora("test_vit", num_classes=3, image_size=64, rank=rank)


def test_lora_refuses_rank_above_the_width() -> None:
    with pytest.raises(MethodError, match=r"method.rank is 193, but the layer 'blocks.0.attn.qkv.q' is only 192 wide"):
        _lora("vit_tiny_patch16_224", num_classes=3, image_size=32, rank=193)
    assert _lora("vit_tiny_patch16_224", num_classes=3, image_size=32, rank=192).num_trainable_params()


@pytest.mark.parametrize("targets", ["q,v", "qkv"])
def test_lora_refuses_attention_targets_on_a_cnn(targets: str) -> None:
    with pytest.raises(MethodError) as caught:
        _lora("test_resnet", num_classes=3, image_size=64, targets=targets)
    assert str(caught.value).startswith(
        f"LoRA found nothing to adapt in 'test_resnet': method.targets {targets.split(',')[0]!r} matched 0 of its 14 "
        "layers. Layers there end in 'conv1', 'conv2', "
    )
    assert str(caught.value).endswith(" Use --targets all, or put one of these in it.")


def test_lora_targets_by_the_ends_of_names() -> None:
    adapted = _lora("test_vit", num_classes=3, image_size=64, targets="attn.proj, mlp.fc1,v")
    places = {name.split(".lora_A")[0].rsplit(".", 2)[-2:][-1] for name in adapted.trainable() if ".lora_A" in name}
    assert places == {"proj", "fc1", "v"}
    assert all(name.startswith("blocks.") for name in adapted.trainable() if ".lora_A" in name)
    with pytest.raises(MethodError, match=r"'fc9' matched 0 of its \d+ layers. Layers there end in .*'fc1'"):
        _lora("test_vit", num_classes=3, image_size=64, targets="fc1,fc9")


def test_lora_refuses_unknown_knobs() -> None:
    with pytest.raises(ConfigError, match="no setting method.depth"):
        _lora("test_vit", num_classes=3, image_size=64, depth=3)


def test_lora_starts_as_the_paper_says() -> None:
    """A uniform in +-1/sqrt(D), B zero: Kaiming uniform with a = sqrt 5."""
    bare = build_backbone("vit_tiny_patch16_224", num_classes=3, image_size=32)
    config = RunConfig(method=MethodConfig(name="lora", knobs={"rank": 32, "targets": "q,v"}))
    trained = apply_method(bare, config).adapted.trainable()
    bound = 1 / math.sqrt(192)
    drawn = torch.cat([p.detach().flatten() for name, p in trained.items() if ".lora_A" in name])
    assert drawn.abs().max().item() <= bound
    assert drawn.abs().max().item() > 0.999 * bound
    assert drawn.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert drawn.mean().item() == pytest.approx(0, abs=bound / 100)
    assert not any(p.any() for name, p in trained.items() if ".lora_B" in name)
