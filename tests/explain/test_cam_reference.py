"""Grad-CAM of every kind of backbone and method, against one written down here in plain autograd."""

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
from medpeft_core.explain.cam import build_reshape, compute_cam, explain_logit, find_cam
from medpeft_core.explain.load import LoadedImage, LoadedRun
from medpeft_core.methods import METHODS
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.build import BuiltModel, apply_method
from medpeft_core.traits import CNN, CONVNEXT, DEPTHWISE_CNN, PLAIN_VIT, WINDOWED_VIT

LABELS = ("one", "two", "three", "four")
BACKBONES = {
    "resnet": ("test_resnet", 64, None),
    "efficientnet": ("test_efficientnet", 64, None),
    "convnext": ("test_convnext", 64, None),
    "vit, class token": ("test_vit", 64, "token"),
    "vit, mean": ("test_vit", 64, "avg"),
    "vit with register tokens, class token": ("vit_tiny_patch16_reg4", 64, "token"),
    "vit with register tokens, mean": ("vit_tiny_patch16_reg4", 64, "avg"),
    "swin": ("swin_tiny_patch4_window7_224", 64, None),
}
EVERYWHERE = ("full", "linear", "lora", "vpt_deep")  # the others on one ViT and one CNN, as far as they fit
ON = ("vit, class token", "resnet")
SLOW_KNOBS = {"boft": {"targets": "attn.proj"}, "hra": {"targets": "attn.proj"}}
KINDS = {"resnet": "cnn", "efficientnet": "cnn", "convnext": "cnn", "swin": "windowed_vit"}


@pytest.fixture(autouse=True)
def _small_register_vit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A register ViT of two narrow blocks under a name of its own: timm's smallest would take seconds for each test."""

    def vit_tiny_patch16_reg4(pretrained: bool = False, **options: object) -> nn.Module:
        sizes = {"patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3}
        registers = {"class_token": True, "reg_tokens": 4, "no_embed_class": True}
        return timm.models.vision_transformer._create_vision_transformer(
            "vit_small_patch14_reg4_dinov2", pretrained=False, **{**sizes, **registers, "img_size": 64, **options}
        )

    registry = timm.models._registry
    monkeypatch.setitem(registry._model_entrypoints, "vit_tiny_patch16_reg4", vit_tiny_patch16_reg4)


def load(backbone: str, method: str) -> LoadedRun:
    """A model with random weights whose labels differ, in eval mode."""
    name, size, pool = BACKBONES[backbone]
    bare = build_backbone(name, num_classes=len(LABELS), image_size=size, pool=pool, head_init_std=0.5)
    generator = torch.Generator().manual_seed(1)
    built = apply_method(bare, RunConfig(method=MethodConfig(name=method, knobs=SLOW_KNOBS.get(method, {}))))
    with torch.no_grad():
        for parameter in built.adapted.network.parameters():
            if parameter.requires_grad:  # as after training: adapters are no longer zero
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    built.adapted.network.eval()
    transform = BatchTransform(AugmentConfig(), image_size=size, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    return LoadedRun(
        run_id="made", config=RunConfig(), built=built, transform=transform, labels=LABELS, task="multilabel",
        is_synthetic=True, thresholds=dict.fromkeys(LABELS), prevalence=dict.fromkeys(LABELS),
    )  # fmt: skip


def make_image(size: int, seed: int = 0) -> LoadedImage:
    """Noise with a bright corner, so that places differ."""
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
    images[..., : size // 2, : size // 2] += 2
    return LoadedImage(
        path=Path("made.png"), images=images, source_size=(size, size), cached_size=(size, size), warnings=()
    )


def as_grid(features: torch.Tensor, backbone: Backbone) -> torch.Tensor:
    """(1, C, h, w), written without the lab's own ways of doing so."""
    if backbone.kind == "windowed_vit":
        return torch.einsum("bhwc->bchw", features)
    if backbone.kind == "vit":
        side = backbone.image_size // 16
        return torch.stack(
            [features[0, -side * side :, channel].view(side, side) for channel in range(features.shape[2])]
        )[None]
    return features


def cam_by_autograd(built: BuiltModel, images: torch.Tensor, index: int) -> np.ndarray:
    """Equations 1 and 2 of the paper over the whole graph, before any scaling."""
    kept: list[torch.Tensor] = []
    layer = built.adapted.network.get_submodule(built.backbone.cam_layer)
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = built.adapted.network(images.clone().requires_grad_(True))
    handle.remove()
    gradients = torch.autograd.grad(logits[0, index], kept[0])[0]
    grid, slopes = as_grid(kept[0].detach(), built.backbone)[0], as_grid(gradients, built.backbone)[0]
    total = torch.zeros(grid.shape[1:])
    for channel in range(len(grid)):
        total += slopes[channel].mean() * grid[channel]
    return np.maximum(total.numpy(), 0)


def list_pairs() -> list[tuple[str, str]]:
    """Backbones and methods to explain together."""
    pairs = [
        (backbone, method) for method in METHODS.names() for backbone in (BACKBONES if method in EVERYWHERE else ON)
    ]
    return [pair for pair in pairs if pair[1] not in SLOW_KNOBS or pair[0] == ON[0]]


def fits(backbone: str, method: str) -> bool:
    kind, traits = {"resnet": CNN, "efficientnet": DEPTHWISE_CNN, "convnext": CONVNEXT, "swin": WINDOWED_VIT}.get(
        backbone, PLAIN_VIT
    )
    return METHODS[method].find_misfit(kind, traits) is None


@pytest.mark.parametrize(("backbone", "method"), [pair for pair in list_pairs() if fits(*pair)])
def test_cam_equals_autograd(backbone: str, method: str) -> None:
    loaded = load(backbone, method)
    built, size = loaded.built, BACKBONES[backbone][1]
    assert built.backbone.kind == KINDS.get(backbone, "vit")
    image, maps = make_image(size), []
    for index, label in enumerate(LABELS):
        expected = cam_by_autograd(built, image.images, index)
        found = explain_logit(
            built.adapted.network, image.images, layer=built.backbone.cam_layer, index=index,
            reshape=build_reshape(built),
        )  # fmt: skip
        assert np.abs(found.coarse - expected).max() <= 1e-5 * max(float(np.abs(expected).max()), 1e-3)
        try:
            cam = find_cam(loaded, image, label)
        except ExplainError:
            assert np.ptp(expected) < 1e-6
            continue
        assert cam.grid == expected.shape
        large = cv2.resize((expected - expected.min()) / np.ptp(expected), (size, size))
        assert np.abs(cam.values - (large - large.min()) / np.ptp(large)).max() < 1e-5
        maps.append(cam.values)
    assert len(maps) >= 2
    assert np.abs(maps[0] - maps[1]).max() > 0.05


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_cam_changes_with_the_image(backbone: str) -> None:
    loaded, size = load(backbone, "full"), BACKBONES[backbone][1]
    differences = []
    for label in LABELS:
        try:
            first, second = (compute_cam(loaded, make_image(size, seed), label) for seed in (0, 1))
        except ExplainError:
            continue
        differences.append(float(np.abs(first - second).max()))
    assert differences
    assert max(differences) > 0.05


def test_every_method_is_explained_here() -> None:
    assert {method for backbone, method in list_pairs() if fits(backbone, method)} == set(METHODS.names())


def test_register_tokens_are_no_patches() -> None:
    backbone = load("vit with register tokens, mean", "full").built.backbone
    assert backbone.num_prefix_tokens == 5
