"""Visual prompt tuning against equations 4, 5 and 7 of Jia et al. 2022 (arXiv:2203.12119), written again."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from tiny_models import ARCHITECTURES, IMAGE_SIZE
from torch import nn
from trials import build, build_bare, make_batch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import AugmentConfig, MethodConfig, RunConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.explain.cam import build_reshape, explain_logit, find_cam
from medpeft_core.explain.load import LoadedImage, LoadedRun
from medpeft_core.methods import METHODS
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.build import BuiltModel, apply_method

DEPTHS = ("vpt_shallow", "vpt_deep")
SIDE = 4  # patches along one side: 64 pixels in patches of 16
# By what they are: name, prefix tokens, pooling
VITS = {
    "class token": ("test_vit", 1, "token"),
    "mean and fc_norm": ("test_vit", 1, "avg"),
    "registers, class token": ("small_register_vit", 5, "token"),
    "registers, mean": ("small_register_vit", 5, "avg"),
    "LayerScale": ("small_layer_scale_vit", 1, "token"),
    "no class token": ("small_headless_vit", 0, "avg"),
    "norm before the blocks": ("small_clip_vit", 1, "token"),
}
SMALL = {"patch_size": 16, "embed_dim": 48, "depth": 3, "num_heads": 3, "img_size": IMAGE_SIZE}
ENTRY_POINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "small_register_vit": ("vit_small_patch14_reg4_dinov2", {"reg_tokens": 4, "no_embed_class": True}),
    "small_layer_scale_vit": ("vit_small_patch14_dinov2", {"init_values": 1e-5}),
    "small_headless_vit": ("vit_base_patch16_siglip_gap_224", {"class_token": False, "global_pool": "avg"}),
    "small_clip_vit": ("vit_base_patch16_clip_224", {"pre_norm": True, "norm_layer": nn.LayerNorm}),
}


@pytest.fixture(autouse=True)
def _small_vits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow ViTs of three blocks, under names of their own."""

    def register(name: str, variant: str, own: dict[str, Any]) -> None:
        def build_small(pretrained: bool = False, **options: Any) -> nn.Module:
            make = timm.models.vision_transformer._create_vision_transformer
            return make(variant, pretrained=False, **{**SMALL, **own, **options})

        monkeypatch.setitem(timm.models._registry._model_entrypoints, name, build_small)

    for name, (variant, own) in ENTRY_POINTS.items():
        register(name, variant, own)


def build_exact(kind: str, method: str, **knobs: Any) -> tuple[BuiltModel, nn.Module]:
    """A built model in float64 with prompts as large as tokens, and the model as it was before."""
    name, num_prefix, pool = VITS[kind]
    bare = build_backbone(name, num_classes=2, image_size=IMAGE_SIZE, pool=pool, head_init_std=0.5)
    assert bare.num_prefix_tokens == num_prefix
    generator = torch.Generator().manual_seed(2)
    for own, parameter in bare.model.named_parameters():
        if ".ls" in own:  # timm starts LayerScale at 1e-5, with which nothing would be seen
            parameter.data = torch.rand(parameter.shape, generator=generator)
    before = copy.deepcopy(bare.model).double().eval()
    built = apply_method(bare, RunConfig(method=MethodConfig(name=method, knobs=knobs)))
    built.adapted.network.double().eval()
    for own, parameter in built.adapted.trainable().items():
        if own.startswith("prompts."):
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return built, before


def copy_prompts(built: BuiltModel) -> list[torch.Tensor]:
    """The sets of prompts in order, as leaves with gradients of their own."""
    sets = [value for name, value in built.adapted.trainable().items() if name.startswith("prompts.")]
    return [tokens.detach().clone().requires_grad_() for tokens in sets]


def run_vit(vit: nn.Module, images: torch.Tensor, sets: list[torch.Tensor], num_prefix: int) -> dict[str, torch.Tensor]:
    """Equations 4 and 5 with one set, equation 7 with a set for each block; `vit` has no prompts.

    Returns:
        The logits, and the patch tokens after the first norm of the last block.
    """
    tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    x, E = tokens[:, :num_prefix], tokens[:, num_prefix:]  # noqa: N806  (as in the paper)
    Z = sets[0].expand(len(images), -1, -1)  # noqa: N806
    for index, block in enumerate(vit.blocks):
        P = sets[index].expand(len(images), -1, -1) if len(sets) > 1 else Z  # noqa: N806
        read = torch.cat((x, P, E), dim=1)
        if index == len(vit.blocks) - 1:
            normed = block.norm1(read)
            output = read + block.ls1(block.attn(normed))
            output = output + block.ls2(block.mlp(block.norm2(output)))
        else:
            output = block(read)
        x, Z, E = output.split((num_prefix, P.shape[1], E.shape[1]), dim=1)  # noqa: N806
    x, E = vit.norm(x), vit.norm(E)  # noqa: N806
    pooled = x[:, 0] if vit.global_pool == "token" else E.mean(dim=1)
    return {"logits": vit.head(vit.fc_norm(pooled)), "normed": normed}


@pytest.mark.parametrize("method", DEPTHS)
@pytest.mark.parametrize("kind", VITS)
def test_vpt_equals_the_paper(kind: str, method: str) -> None:
    built, vit = build_exact(kind, method, num_prompts=3)
    network, sets = built.adapted.network, copy_prompts(built)
    assert len(sets) == (len(vit.blocks) if method == "vpt_deep" else 1)
    images, targets = (tensor.double() for tensor in make_batch())
    logits = network(images)
    expected = run_vit(vit, images, sets, VITS[kind][1])["logits"]
    assert (vit(images) - expected).abs().max() > 1e-3  # the prompts are seen
    assert (logits - expected).abs().max() <= 1e-12
    for output in (logits, expected):
        F.binary_cross_entropy_with_logits(output, targets).backward()
    for index, wanted in enumerate(sets):
        assert wanted.grad.abs().max() > 1e-6
        assert (network.get_parameter(f"prompts.{index}.tokens").grad - wanted.grad).abs().max() <= 1e-12


@pytest.mark.parametrize("method", DEPTHS)
@pytest.mark.parametrize("kind", VITS)
def test_vpt_prompts_are_gone_after_the_blocks(kind: str, method: str) -> None:
    built, _ = build_exact(kind, method, num_prompts=3)
    network, num_prefix, shapes = built.adapted.network, VITS[kind][1], {}
    for name in ("blocks.0.norm1", "blocks.2.norm1", "norm"):
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.update({name: output.shape[1]})
        )
    network(make_batch()[0].double())
    num_tokens = num_prefix + SIDE * SIDE
    assert shapes == {"blocks.0.norm1": num_tokens + 3, "blocks.2.norm1": num_tokens + 3, "norm": num_tokens}


@pytest.mark.parametrize("method", DEPTHS)
@pytest.mark.parametrize("kind", ["class token", "mean and fc_norm", "registers, class token", "registers, mean"])
def test_vpt_maps_show_patches_and_no_prompts(kind: str, method: str) -> None:
    """Nine prompts beside sixteen patches would form a square too: a map of 5 x 5 that is shifted and wrong."""
    built, vit = build_exact(kind, method, num_prompts=9)
    num_prefix = VITS[kind][1]
    assert built.adapted.num_extra_tokens == 9
    images = make_batch()[0][:1]
    built.adapted.network.float()
    walked = run_vit(vit, images.double(), copy_prompts(built), num_prefix)
    num_shown = 0
    for index, label in enumerate(("one", "two")):
        slope = torch.autograd.grad(walked["logits"][0, index], walked["normed"], retain_graph=True)[0]
        slope, normed = slope[0, -SIDE * SIDE :], walked["normed"].detach()[0, -SIDE * SIDE :]  # (16, D)
        expected = (normed * slope.mean(dim=0)).sum(dim=1).clamp(min=0).view(SIDE, SIDE).numpy()
        if expected.max() == 0:
            continue
        num_shown += 1
        found = explain_logit(
            built.adapted.network, images, layer=built.backbone.cam_layer, index=index, reshape=build_reshape(built)
        )
        assert found.coarse.shape == (SIDE, SIDE)
        assert np.abs(found.coarse - expected).max() <= 1e-5 * expected.max()
        assert find_cam(_load(built), _make_image(images), label).grid == (SIDE, SIDE)
    assert num_shown


def _load(built: BuiltModel) -> LoadedRun:
    transform = BatchTransform(AugmentConfig(), image_size=IMAGE_SIZE, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    labels = ("one", "two")
    return LoadedRun(
        run_id="made", config=RunConfig(), built=built, transform=transform, labels=labels, task="multilabel",
        is_synthetic=True, thresholds=dict.fromkeys(labels), prevalence=dict.fromkeys(labels),
    )  # fmt: skip


def _make_image(images: torch.Tensor) -> LoadedImage:
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return LoadedImage(path=Path("made.png"), images=images, source_size=size, cached_size=size, warnings=())


@pytest.mark.parametrize("method", DEPTHS)
def test_vpt_deep_copies_have_prompts_and_hooks_of_their_own(method: str) -> None:
    network = build(method, "test_vit").adapted.network.eval()
    images = make_batch()[0]
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(images)
        assert torch.equal(twin(images), before)
        for prompts in twin.prompts:
            prompts.tokens += torch.randn(prompts.tokens.shape, generator=torch.Generator().manual_seed(0))
        after = twin(images)
        assert (after - before).abs().max() > 1e-3
        assert torch.equal(network(images), before)
        for prompts in network.prompts:
            prompts.tokens += 1
        assert torch.equal(twin(images), after)


def test_vpt_deep_differs_from_shallow_by_what_it_discards() -> None:
    """With the same prompts before the first block, a later block of the deep kind reads fresh ones."""
    images = make_batch()[0]
    networks = [build(method, "test_vit", num_prompts=4).adapted.network.eval() for method in DEPTHS]
    shallow, deep = networks
    for prompts in deep.prompts:
        prompts.tokens.data.copy_(shallow.prompts[0].tokens.data)
    with torch.no_grad():
        assert (shallow(images) - deep(images)).abs().max() > 1e-5


@pytest.mark.parametrize(
    ("method", "num_prompts", "count"),
    [("vpt_shallow", 10, 7_680), ("vpt_shallow", 100, 76_800), ("vpt_deep", 10, 92_160), ("vpt_deep", 50, 460_800)],
)
def test_vpt_counts_on_vit_base(method: str, num_prompts: int, count: int) -> None:
    """P D, and 12 P D."""
    with torch.device("meta"):
        bare = build_backbone("vit_base_patch16_224", num_classes=3, image_size=224)
        knobs = {"num_prompts": num_prompts}
        adapted = apply_method(bare, RunConfig(method=MethodConfig(name=method, knobs=knobs))).adapted
    assert adapted.num_trainable_params() == count + 3 * 768 + 3


@pytest.mark.parametrize("method", DEPTHS)
@pytest.mark.parametrize(("backbone", "patch", "width"), [("test_vit", 16, 64), ("vit_tiny_patch16_224", 16, 192)])
def test_vpt_starts_as_the_paper_says(method: str, backbone: str, patch: int, width: int) -> None:
    """Uniform in +-sqrt(6 / (3 p^2 + D))."""
    trained = build(method, backbone, num_prompts=100).adapted.trainable()
    drawn = torch.cat([value.detach().flatten() for name, value in trained.items() if name.startswith("prompts.")])
    bound = math.sqrt(6 / (3 * patch**2 + width))
    assert 0.995 * bound < drawn.abs().max().item() <= bound
    assert drawn.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert len(drawn.unique()) > 0.99 * len(drawn)  # no two sets are the same


def test_vpt_dropout_draws_for_each_image() -> None:
    layer = build("vpt_shallow", "test_vit", num_prompts=50, dropout=0.5).adapted.network.prompts[0]
    tokens = torch.zeros(4, 17, 64)
    (read,) = layer.train().insert(nn.Identity(), (tokens,))
    prompts = read[:, 1:51]
    is_dropped = prompts == 0
    assert is_dropped.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(is_dropped[0], is_dropped[1])
    assert torch.allclose(prompts[~is_dropped], (2 * layer.tokens).expand(4, -1, -1)[~is_dropped])
    (read,) = layer.eval().insert(nn.Identity(), (tokens,))
    assert torch.equal(read[2, 1:51], layer.tokens)


@pytest.mark.parametrize("method", DEPTHS)
def test_vpt_trains_prompts_and_head_and_keeps_names(method: str) -> None:
    bare = build_bare("test_vit")
    built = build(method, "test_vit")
    names = {name for name, _ in built.adapted.network.named_modules() if name.split(".")[0] != "prompts"}
    assert names == {name for name, _ in bare.model.named_modules()}
    assert built.backbone.cam_layer in names
    assert {name.split(".")[0] for name in built.adapted.trainable()} == {"prompts", "head"}


@pytest.mark.parametrize(
    ("backbone", "image_size", "reason"),
    [
        ("vit_small_patch16_rope_224", 32, "its attention has relative or rotary positions, and prompts have no place"),
        ("vit_srelpos_small_patch16_224", 32, "its attention has relative or rotary positions"),
        ("tiny_swin", 64, "it needs one sequence of tokens that goes through all blocks"),
        (ARCHITECTURES["ResNet"], 64, "it needs one sequence of tokens"),
        ("cait_xxs24_224", 224, "its blocks do not simply hand one sequence of tokens from each to the next"),
        ("vit_small_patch16_18x2_224", 32, "its blocks do not simply hand one sequence"),
    ],
)
def test_vpt_refuses_where_prompts_have_no_place(backbone: str, image_size: int, reason: str) -> None:
    bare = build_backbone(backbone, num_classes=2, image_size=image_size)
    with pytest.raises(MethodError, match=rf"does not fit '{backbone}': {reason}"):
        apply_method(bare, RunConfig(method=MethodConfig(name="vpt_deep")))
    shallow, deep = (METHODS[method] for method in DEPTHS)
    assert (shallow.requires, shallow.refuses) == (deep.requires, deep.refuses)


@pytest.mark.parametrize("method", DEPTHS)
@pytest.mark.parametrize(("knob", "value"), [("num_prompts", 0), ("num_prompts", 1001), ("dropout", 1.0)])
def test_vpt_refuses_bad_knobs(method: str, knob: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"method\.{knob} is {value}, but it must be"):
        build(method, "test_vit", **{knob: value})


@pytest.mark.parametrize("method", DEPTHS)
def test_vpt_cannot_be_merged_and_does_not_start_at_the_base(method: str) -> None:
    spec = METHODS[method]
    assert not spec.is_mergeable
    assert not spec.starts_at_base
    with pytest.raises(MethodError, match=f"'{method}' cannot be merged into its backbone: prompts are tokens"):
        build(method, "test_vit").adapted.merge()
