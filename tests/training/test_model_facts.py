"""What a method costs at inference and what a backbone is made of, against counts by hand and the built models."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from toy_set import make_config, register_toy

from medpeft_core.backbones.shelf import shelf_file
from medpeft_core.errors import BackboneError, MethodError
from medpeft_core.methods import METHODS
from medpeft_core.paths import get_home
from medpeft_core.training import bare_backbones
from medpeft_core.training.bare_backbones import build_backbone_key, count_flops
from medpeft_core.training.build import build_bare_backbone
from medpeft_core.training.forecast import Forecaster
from medpeft_core.training.model_parts import find_traits

SIDE, CHANNELS, TOKENS = 8, 4, 64


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


class TinyAttention(nn.Module):
    """A convolution, then attention of each pixel to each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CHANNELS, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2).unsqueeze(1)  # (B, 1, N, D)
        return scaled_dot_product_attention(tokens, tokens, tokens)


def test_count_flops_of_a_convolution_and_attention_worked_out_by_hand() -> None:
    """torch counts attention on a GPU only; without it prompts would seem to cost half of what they do."""
    conv = 2 * TOKENS * CHANNELS * 3 * 9
    scores = 2 * TOKENS * TOKENS * CHANNELS
    assert count_flops(TinyAttention(), SIDE) == conv + 2 * scores


def test_check_tells_what_an_adapter_computes_beside_the_model(forecaster: Forecaster) -> None:
    """AdaptFormer: two products of D x bottleneck for each token in each block, and nothing else."""
    config = make_config(method={"name": "adaptformer", "knobs": {"bottleneck": 4}})
    built = build_bare_backbone(config, num_classes=2)
    model = built.model
    tokens, width, depth = model.pos_embed.shape[1], model.embed_dim, len(model.blocks)
    added = 2 * 2 * tokens * width * 4 * depth
    extra = forecaster.check(config)["extra_compute"]
    assert extra == pytest.approx(added / count_flops(model, built.image_size))


@pytest.mark.parametrize("method", ["lora", "linear"])
def test_check_counts_nothing_for_what_can_be_merged(
    forecaster: Forecaster, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert METHODS[method].is_mergeable
    monkeypatch.setattr(bare_backbones, "count_flops", lambda *arguments: pytest.fail("it takes a forward pass"))
    assert forecaster.check(make_config(method={"name": method}))["extra_compute"] is None


@pytest.mark.parametrize("weights", ["random", "pretrained"])
def test_traits_are_those_of_the_built_backbone(forecaster: Forecaster, weights: str) -> None:
    """Without a network too: what a model is made of does not depend on its weights."""
    config = make_config(backbone={"name": "test_resnet"})
    backbone = build_bare_backbone(config, num_classes=2)
    asked = make_config(backbone={"name": "test_resnet", "weights": weights})
    assert forecaster.describe_traits(asked) == {"kind": "cnn", "traits": sorted(find_traits(backbone))}


def test_traits_of_a_backbone_that_was_just_checked_build_nothing(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    forecaster.check(config)
    monkeypatch.setattr(bare_backbones, "build_bare_backbone", lambda *args, **named: pytest.fail("built again"))
    assert forecaster.describe_traits(config)["kind"] == "vit"


def test_traits_of_an_unknown_model_are_refused(forecaster: Forecaster) -> None:
    with pytest.raises(BackboneError, match="resnet19"):
        forecaster.describe_traits(make_config(backbone={"name": "resnet19"}))


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
@pytest.mark.parametrize("method", METHODS.names())
def test_figures_of_every_method_can_be_told(forecaster: Forecaster, method: str, backbone: str) -> None:
    """Sparse tensors, prompts and convolutions in another layout each broke one of the counts."""
    config = make_config(backbone={"name": backbone}, method={"name": method})
    facts = forecaster.describe_traits(config)
    if METHODS[method].find_misfit(facts["kind"], frozenset(facts["traits"])) is not None:
        with pytest.raises(MethodError, match="does not fit"):
            forecaster.check(config)
        return
    answer = forecaster.check(config)
    assert 0 < answer["num_trainable_params"] <= answer["num_params"]
    assert answer["adapter_bytes"] > 4 * answer["num_trainable_params"]
    assert (answer["extra_compute"] is None) == METHODS[method].is_mergeable
    assert answer["extra_compute"] is None or answer["extra_compute"] > 0


def test_backbone_key_tells_weights_apart_that_came_to_the_shelf_under_the_same_name() -> None:
    path = shelf_file(get_home(), "mine")
    path.parent.mkdir(parents=True)
    config = make_config(backbone={"weights": "shelf:mine"})
    keys = [build_backbone_key(config, 2)]
    for content in (b"1", b"22"):
        path.write_bytes(content)
        keys.append(build_backbone_key(config, 2))
    assert len(set(keys)) == 3
