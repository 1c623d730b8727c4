"""What methods are told about a model: found by its modules, and by what a forward pass really calls."""

import pytest
import torch
from torch import nn

from medpeft_core import traits
from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.training.build import apply_method
from medpeft_core.training.model_parts import find_parts, find_traits, trace_calls


@pytest.mark.parametrize("name", BACKBONES.names())
def test_described_backbone_is_made_of_what_its_spec_says(name: str) -> None:
    """Pages and `methods --backbone` tell from the spec what fits; the model itself has the last word."""
    spec = BACKBONES[name]
    with torch.device("meta"):
        built = build_backbone(name.split(".")[0], num_classes=3, image_size=spec.image_size)
    assert find_traits(built) == spec.traits
    assert built.kind == spec.kind


def test_every_trait_has_words_and_a_backbone_of_the_lists() -> None:
    named = frozenset().union(*(found for _, found in traits.ARCHITECTURES))
    assert named == set(traits.WORDS)
    described = {spec.traits for spec in BACKBONES}
    assert described < {found for _, found in traits.ARCHITECTURES}


@pytest.mark.parametrize("name", ["swinv2_tiny_window8_256", "beit_base_patch16_224", "eva02_tiny_patch14_224"])
def test_attention_that_uses_weights_without_calling_the_layer_is_not_adapted(name: str) -> None:
    """A LoRA around qkv would look as if it were there, and do nothing: these models read qkv.weight."""
    with torch.device("meta"):
        built = build_backbone(name, num_classes=3)
        assert any(part.endswith(".qkv") for part, _ in built.model.named_modules())
        parts = find_parts(built, wants_split_qkv=True)
        assert (parts.queries, parts.fused_qkv) == ((), ())
        assert len(parts.attentions) == len(parts.mlps) > 0
        with pytest.raises(MethodError, match=r"'q' matched 0 of its \d+ layers"):
            apply_method(built, RunConfig(method=MethodConfig(name="lora", knobs={"targets": "q,v"})))


def test_prompts_join_attention_that_only_uses_its_weights() -> None:
    """The user saw: an IndexError in place of a run. Prompts need no layer to be called, only a sequence of tokens."""
    with torch.device("meta"):
        built = build_backbone("eva_giant_patch14_224", num_classes=2)
        adapted = apply_method(built, RunConfig(method=MethodConfig(name="vpt_shallow"))).adapted
        assert adapted.network(torch.zeros(1, 3, 224, 224)).shape == (1, 2)
    assert adapted.num_extra_tokens == 10


def test_parts_of_a_vit() -> None:
    with torch.device("meta"):
        parts = find_parts(build_backbone("vit_tiny_patch16_224", num_classes=3), wants_split_qkv=False)
    assert parts.blocks == tuple(f"blocks.{index}" for index in range(12))
    assert parts.attentions == tuple(f"{block}.attn" for block in parts.blocks)
    assert parts.mlps == tuple(f"{block}.mlp" for block in parts.blocks)
    assert (parts.positions, parts.patch_projection) == (("pos_embed",), "patch_embed.proj")
    assert len(parts.layer_norms) == 2 * 12 + 1
    assert not parts.convs + parts.linears_on_maps + parts.batch_norms


def test_parts_of_a_resnet() -> None:
    with torch.device("meta"):
        parts = find_parts(build_backbone("resnet50", num_classes=3), wants_split_qkv=False)
    assert len(parts.batch_norms) == 53
    assert len(parts.residual_convs) == 48  # three in each of 16 blocks; no stem, no shortcut
    assert all(name.endswith("conv2") for name in parts.spatial_convs)
    assert parts.patch_projection == "conv1"


def test_looking_changes_nothing() -> None:
    built = build_backbone("test_resnet", num_classes=2, image_size=64)
    before = {name: tensor.clone() for name, tensor in built.model.state_dict().items()}
    trace_calls(built.model, 64)
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.model.state_dict().items())
    assert built.model.training
    assert not any(module._forward_pre_hooks for module in built.model.modules())


def test_gates_and_padding_that_is_not_centred_are_left_alone() -> None:
    with torch.device("meta"):
        parts = find_parts(build_backbone("tf_efficientnet_b0", num_classes=3), wants_split_qkv=False)
    model = build_backbone("tf_efficientnet_b0", num_classes=3, image_size=64).model
    assert not any(".se." in name for name in parts.convs)
    assert all(type(model.get_submodule(name)) is nn.Conv2d for name in parts.residual_convs)


def test_every_method_fits_something_and_something_fits_every_backbone() -> None:
    for spec in METHODS:
        assert spec.fits, spec.name
    for backbone in BACKBONES:
        fitting = [spec.name for spec in METHODS if spec.find_misfit(backbone.kind, backbone.traits) is None]
        assert {"full", "linear", "lora"} <= set(fitting)
