"""Class activation maps: against maps worked out by hand, in the right place, and refused when they show nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import AugmentConfig, MethodConfig, RunConfig
from medpeft_core.errors import ExplainError
from medpeft_core.explain.cam import check_cam, compute_cam, place_in_source, tokens_to_map
from medpeft_core.explain.load import LoadedImage, LoadedRun
from medpeft_core.explain.overlay import build_overlay
from medpeft_core.methods.adapted import PlainAdaptedModel
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.build import BuiltModel, apply_method

LABELS = ("one", "two", "three", "four", "five", "six")


class TwoChannels(nn.Module):
    """Two feature maps, the first the red and the second the green channel; the logits weigh their means."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.features.weight.data = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
        self.head = nn.Linear(2, len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).mean(dim=(2, 3)))


def _load(built: BuiltModel, labels: tuple[str, ...] = LABELS) -> LoadedRun:
    built.adapted.network.eval()
    transform = BatchTransform(AugmentConfig(), image_size=8, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    return LoadedRun(
        run_id="made", config=RunConfig(), built=built, transform=transform, labels=labels, task="multilabel",
        is_synthetic=True, thresholds=dict.fromkeys(labels), prevalence=dict.fromkeys(labels),
    )  # fmt: skip


def _wrap(model: nn.Module, *, kind: str, cam_layer: str, image_size: int, num_prefix_tokens: int = 0) -> BuiltModel:
    backbone = Backbone(
        name="made", kind=kind, model=model, head="head", fresh=(), image_size=image_size, pool="avg",
        num_prefix_tokens=num_prefix_tokens, cam_layer=cam_layer, mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    model.requires_grad_(False)  # the hardest case: nothing in the model asks for gradients
    return BuiltModel(backbone=backbone, adapted=PlainAdaptedModel(model, method="linear"))


def _image(size: int, seed: int = 0) -> LoadedImage:
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return LoadedImage(
        path=Path("made.png"), images=images, source_size=(size, size), cached_size=(size, size), warnings=()
    )


def _scale(cam: np.ndarray) -> np.ndarray:
    return (cam - cam.min()) / (cam.max() - cam.min())


def test_cam_of_two_channels_equals_the_one_by_hand() -> None:
    """d logit / d map = weight / (H W), so the map is relu(w1 red + w2 green), up to its scale."""
    weights = [[2.0, -1.0], [-0.5, 3.0]]
    loaded = _load(_wrap(TwoChannels(weights), kind="cnn", cam_layer="features", image_size=8), ("one", "two"))
    image = _image(8)
    red, green = image.images[0, 0].numpy(), image.images[0, 1].numpy()
    maps = [compute_cam(loaded, image, label) for label in ("one", "two")]
    for found, (first, second) in zip(maps, weights, strict=True):
        assert found.dtype == np.float32
        expected = _scale(np.maximum(first * red + second * green, 0))
        assert np.abs(found - expected).max() < 1e-4
    assert np.abs(maps[0] - maps[1]).max() > 0.5


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_cam_of_one_block_equals_autograd(pool: str) -> None:
    """The gradient at the block's first norm, worked out by leaving the model there and walking on by hand."""
    torch.manual_seed(0)
    vit = timm.models.vision_transformer.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=6, global_pool=pool
    ).eval()
    for parameter in vit.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    image = _image(32)
    with torch.no_grad():
        embedded = torch.cat((vit.cls_token, vit.patch_embed(image.images)), dim=1) + vit.pos_embed
        normed = vit.blocks[0].norm1(embedded)
    normed.requires_grad_()
    block = vit.blocks[0]
    tokens = embedded + block.attn(normed)
    tokens = vit.norm(tokens + block.mlp(block.norm2(tokens)))
    logits = vit.head(vit.fc_norm(tokens[:, 0] if pool == "token" else tokens[:, 1:].mean(dim=1)))
    assert torch.allclose(logits, vit(image.images), atol=1e-5)
    loaded = _load(_wrap(vit, kind="vit", cam_layer="blocks.0.norm1", image_size=32, num_prefix_tokens=1))
    num_shown = 0
    for index, label in enumerate(LABELS):
        gradient = torch.autograd.grad(logits[0, index], normed, retain_graph=True)[0][0, 1:]  # (16, 16) tokens, width
        cam = (normed.detach()[0, 1:] * gradient.mean(dim=0)).sum(dim=1).clamp(min=0).view(4, 4).numpy()
        if cam.max() == 0:
            with pytest.raises(ExplainError, match="flat"):
                compute_cam(loaded, image, label)
            continue
        num_shown += 1
        expected = _scale(cv2.resize(_scale(cam), (32, 32)))
        assert np.abs(compute_cam(loaded, image, label) - expected).max() < 1e-3
    assert num_shown >= 2


@pytest.mark.parametrize(
    ("name", "image_size", "pool"),
    [
        ("test_vit", 64, "token"),
        ("test_vit", 64, "avg"),
        ("test_resnet", 64, None),
        ("test_convnext", 64, None),
        ("test_efficientnet", 64, None),
        ("swin_tiny_patch4_window7_224", 64, None),
    ],
)
@pytest.mark.parametrize("method", ["linear", "lora"])
def test_cam_of_a_frozen_backbone_is_not_flat(name: str, image_size: int, pool: str | None, method: str) -> None:
    bare = build_backbone(name, num_classes=6, image_size=image_size, pool=pool, head_init_std=0.2)
    knobs = {"rank": 4} if method == "lora" else {}
    loaded = _load(apply_method(bare, RunConfig(method=MethodConfig(name=method, knobs=knobs))))
    maps = []
    for label in LABELS:
        try:
            maps.append(compute_cam(loaded, _image(image_size), label))
        except ExplainError as error:
            assert "flat" in str(error)  # noqa: PT017  (a label that no region speaks for is no failure)
    assert len(maps) >= 2
    for cam in maps:
        assert cam.shape == (image_size, image_size)
        assert cam.min() >= 0
        assert cam.max() == pytest.approx(1, abs=0.01)
        assert cam.std() > 0.05
    assert np.abs(maps[0] - maps[1]).max() > 0.05
    assert not any(parameter.requires_grad for key, parameter in bare.model.named_parameters() if "norm1" in key)


def test_cam_leaves_the_model_as_it_was() -> None:
    bare = build_backbone("test_vit", num_classes=6, image_size=64, head_init_std=0.2)
    loaded = _load(apply_method(bare, RunConfig(method=MethodConfig(name="linear"))))
    image = _image(64)
    with torch.no_grad():
        before = loaded.built.adapted.network(image.images)
    first = compute_cam(loaded, image, "one")
    assert np.array_equal(first, compute_cam(loaded, image, "one"))
    assert not image.images.requires_grad
    with torch.no_grad():
        assert torch.equal(loaded.built.adapted.network(image.images), before)
    layer = loaded.built.adapted.network.get_submodule(bare.cam_layer)
    assert not layer._forward_hooks


def test_cam_that_is_flat_is_refused() -> None:
    loaded = _load(_wrap(TwoChannels([[0.0, 0.0]]), kind="cnn", cam_layer="features", image_size=8), ("one",))
    with pytest.raises(ExplainError, match="The map for 'one' is flat"):
        compute_cam(loaded, _image(8), "one")


def test_cam_that_is_not_finite_is_refused() -> None:
    loaded = _load(_wrap(TwoChannels([[float("nan"), 1.0]]), kind="cnn", cam_layer="features", image_size=8), ("one",))
    with pytest.raises(ExplainError, match="The map for 'one' is not finite"):
        compute_cam(loaded, _image(8), "one")


def test_check_cam_refuses_what_shows_nothing() -> None:
    check_cam(np.array([[0.0, 1.0]]), "one")
    for values, text in (([0.5, 0.5], "flat"), ([0.0, np.nan], "not finite"), ([0.0, np.inf], "not finite")):
        with pytest.raises(ExplainError, match=text):
            check_cam(np.array([values]), "one")


def test_cam_of_unknown_label_or_method_is_refused() -> None:
    loaded = _load(_wrap(TwoChannels([[1.0, 2.0]]), kind="cnn", cam_layer="features", image_size=8), ("one",))
    with pytest.raises(ExplainError, match="no label 'seven'. Choose: one"):
        compute_cam(loaded, _image(8), "seven")
    with pytest.raises(ExplainError, match="no map 'magic'. Choose: gradcam"):
        compute_cam(loaded, _image(8), "one", method="magic")


def test_tokens_to_map_drops_prefix_tokens_and_keeps_rows() -> None:
    tokens = torch.arange(5 + 6 * 6).float().view(1, -1, 1)
    assert torch.equal(tokens_to_map(tokens, 5)[0, 0], torch.arange(5.0, 41).view(6, 6))
    with pytest.raises(ExplainError, match="37 patch tokens form no square"):
        tokens_to_map(tokens, 4)


@pytest.mark.parametrize(
    ("source", "cached", "expected"),
    [
        ((80, 80), (40, 40), (0, 80, 0, 80)),
        ((80, 160), (40, 80), (0, 80, 40, 120)),
        ((300, 100), (150, 50), (100, 200, 0, 100)),
        ((30, 50), (30, 50), (0, 30, 10, 40)),
        ((1, 9), (1, 9), (0, 1, 4, 5)),
    ],
)
def test_place_in_source_puts_the_square_in_the_middle(
    source: tuple[int, int], cached: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    placed = place_in_source(np.ones((24, 24), np.float32), source_size=source, cached_size=cached)
    top, bottom, left, right = expected
    wanted = np.zeros(source, np.float32)
    wanted[top:bottom, left:right] = 1
    assert np.array_equal(placed, wanted)


def test_place_in_source_finds_a_spot_again() -> None:
    """A spot at a known place of the seen square lies at the matching place of the file."""
    cam = np.zeros((32, 32), np.float32)
    cam[8, 24] = 1  # at a quarter of the height and three quarters of the width
    placed = place_in_source(cam, source_size=(200, 400), cached_size=(100, 200))
    row, column = np.unravel_index(placed.argmax(), placed.shape)
    assert abs(row - 8.5 / 32 * 200) <= 4
    assert abs(column - (100 + 24.5 / 32 * 200)) <= 4


def test_overlay_leaves_the_image_where_the_map_is_zero() -> None:
    pixels = np.full((6, 6), 100, np.uint8)
    cam = np.zeros((6, 6), np.float32)
    cam[2, 3] = 1
    overlay = build_overlay(pixels, cam)
    assert (overlay.shape, overlay.dtype) == ((6, 6, 3), np.uint8)
    is_same = (overlay == 100).all(axis=2)
    assert is_same.sum() == 35
    assert not is_same[2, 3]
    assert np.array_equal(build_overlay(np.repeat(pixels[..., None], 3, axis=2), cam), overlay)
