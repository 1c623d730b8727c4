"""The backbone that ships with the lab: what the file is, that it is loaded, and what is refused."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import timm
import torch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.demo import ASSETS, DEMO_BACKBONE, find_demo_weights
from medpeft_core.backbones.weights import CARD_KEY, read_encoder_card
from medpeft_core.errors import BackboneError

MAX_BYTES = 12_000_000


def test_file_is_small_and_its_card_tells_its_hash_and_command() -> None:
    path = find_demo_weights(DEMO_BACKBONE)
    content, card = path.read_bytes(), (ASSETS / "demo_vit.md").read_text(encoding="utf-8")
    assert len(content) <= MAX_BYTES
    assert hashlib.sha256(content).hexdigest() in card
    assert "python -m medpeft_core pretrain --dataset phantom --backbone demo_vit" in card
    for part in ("synthetic", "not for clinical use", "Against the same ViT from random weights", "seed"):
        assert part.lower() in card.lower()


def test_weights_say_that_they_come_from_synthetic_images_only() -> None:
    card = read_encoder_card(find_demo_weights(DEMO_BACKBONE))
    assert card["dataset"] == "phantom"
    assert card["is_synthetic"] is True
    assert card["start_weights"] == "random"
    with safetensors.safe_open(find_demo_weights(DEMO_BACKBONE), framework="pt") as file:
        assert json.loads(file.metadata()[CARD_KEY]) == card


def test_weights_load_into_timm_with_no_key_missing_or_over() -> None:
    build_backbone(DEMO_BACKBONE, num_classes=1)  # timm knows the name from here on
    model = timm.create_model(DEMO_BACKBONE, num_classes=0, global_pool="")
    found = model.load_state_dict(safetensors.torch.load_file(find_demo_weights(DEMO_BACKBONE)), strict=False)
    assert found.missing_keys == []
    assert found.unexpected_keys == []


@pytest.mark.parametrize(("pool", "image_size"), [("avg", None), ("token", None), ("avg", 112)])
def test_demo_weights_are_used_whatever_the_pooling_and_size(pool: str, image_size: int | None) -> None:
    stored = safetensors.torch.load_file(find_demo_weights(DEMO_BACKBONE))
    backbone = build_backbone(DEMO_BACKBONE, num_classes=5, weights="demo", pool=pool, image_size=image_size)
    state = backbone.model.state_dict()
    for name in ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.5.mlp.fc2.bias"):
        assert torch.equal(state[name], stored[name])
    assert backbone.mean == tuple(read_encoder_card(find_demo_weights(DEMO_BACKBONE))["mean"])
    assert backbone.model(torch.zeros(1, 3, backbone.image_size, backbone.image_size)).shape == (1, 5)


def test_demo_weights_for_another_backbone_are_refused() -> None:
    with pytest.raises(BackboneError, match=re.escape("The demo weights are those of 'demo_vit'")):
        build_backbone("vit_tiny_patch16_224", num_classes=2, weights="demo")


def test_a_copy_of_the_lab_without_the_file_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("medpeft_core.backbones.demo.ASSETS", tmp_path)
    with pytest.raises(BackboneError, match="missing from this copy of the lab"):
        build_backbone(DEMO_BACKBONE, num_classes=2, weights="demo")


def test_random_weights_of_the_demo_backbone_need_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("medpeft_core.backbones.demo.ASSETS", tmp_path)
    first, second = (build_backbone(DEMO_BACKBONE, num_classes=2, seed=seed) for seed in (0, 1))
    assert not torch.equal(first.model.state_dict()["cls_token"], second.model.state_dict()["cls_token"])
