"""What the specs claim about the described backbones, held against timm's models without filling their memory."""

import pytest
import timm
import torch

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.bare_models import check_name
from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.demo import DEMO_BACKBONE, find_demo_weights
from medpeft_core.backbones.spec import KINDS
from medpeft_core.errors import BackboneError

NUM_CLASSES = 3


@pytest.mark.parametrize("name", BACKBONES.names())
def test_backbone_spec_agrees_with_model(name: str) -> None:
    spec = BACKBONES[name]
    with torch.device("meta"):
        backbone = build_backbone(name, num_classes=NUM_CLASSES)
    without_head = [
        parameter.numel()
        for key, parameter in backbone.model.named_parameters()
        if not key.startswith(f"{backbone.head}.")
    ]
    assert sum(without_head) == spec.num_params
    assert spec.kind in KINDS
    assert (backbone.kind, backbone.image_size, backbone.pool) == (spec.kind, spec.image_size, spec.pools[0])
    assert ("token" in spec.pools) == (backbone.kind == "vit")
    head = backbone.model.get_submodule(backbone.head)
    assert isinstance(head, torch.nn.Linear)
    assert head.out_features == NUM_CLASSES
    backbone.model.get_submodule(backbone.cam_layer)
    assert backbone.num_prefix_tokens == (1 if spec.kind == "vit" else 0)
    multiple = {
        "vit": backbone.model.patch_embed.patch_size[0] if spec.kind == "vit" else 0,
        "windowed_vit": 4,
        "cnn": 1,
    }
    assert spec.size_multiple == multiple[spec.kind]
    assert spec.image_size % spec.size_multiple == 0


@pytest.mark.parametrize("name", BACKBONES.names())
def test_backbone_spec_names_weights_that_exist(name: str) -> None:
    check_name(name)
    config = timm.get_pretrained_cfg(name)
    assert config is not None
    if name == DEMO_BACKBONE:
        assert find_demo_weights(name).is_file(), "its weights ship with the lab"
    else:
        assert config.hf_hub_id  # without it there is nothing to download
    assert all((BACKBONES[name].title, BACKBONES[name].description, BACKBONES[name].licence, BACKBONES[name].reference))


@pytest.mark.parametrize("name", [spec.name for spec in BACKBONES if "avg" in spec.pools and "token" in spec.pools])
def test_backbone_mean_pooling_replaces_the_norm(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name, num_classes=NUM_CLASSES, pool="avg")
    assert backbone.fresh == ("fc_norm",)
    assert backbone.pool == "avg"
    assert isinstance(backbone.model.norm, torch.nn.Identity)


def test_backbone_counts_register_tokens() -> None:
    with torch.device("meta"):
        backbone = build_backbone("vit_small_patch14_reg4_dinov2", num_classes=NUM_CLASSES, image_size=56)
    assert backbone.num_prefix_tokens == 5
    with torch.device("meta"):
        features = backbone.model.forward_features(torch.zeros(1, 3, 56, 56))
    assert features.shape[1] == 5 + (56 // 14) ** 2


def test_backbone_check_name_suggests_near_names() -> None:
    with pytest.raises(BackboneError, match="no backbone 'vit_tiny_patch16_225'.*Did you mean.*vit_tiny_patch16_224"):
        check_name("vit_tiny_patch16_225")


def test_backbone_check_name_refuses_unknown_tag() -> None:
    with pytest.raises(BackboneError, match="no weights 'a99_in1k'. Choose: .*a1_in1k"):
        check_name("resnet18.a99_in1k")
