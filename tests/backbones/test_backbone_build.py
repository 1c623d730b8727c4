"""Real builds of small models: sizes, pooling, seeds, heads, and every refusal with its sentence."""

import pytest
import timm
import torch

from medpeft_core.backbones.bare_models import RANDOM_MEAN
from medpeft_core.backbones.build import build_backbone, get_base_state
from medpeft_core.errors import BackboneError

SMALL = ("test_vit", "test_vit2", "test_resnet", "test_convnext", "test_efficientnet")


def _images(size: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("image_size", [64, 96])
def test_build_backbone_takes_any_size(name: str, image_size: int) -> None:
    backbone = build_backbone(name, num_classes=4, image_size=image_size)
    with torch.no_grad():
        logits = backbone.model.eval()(_images(image_size))
    assert logits.shape == (2, 4)
    assert backbone.image_size == image_size
    assert backbone.mean == RANDOM_MEAN


def test_build_backbone_mean_pooling_equals_timm() -> None:
    ours = build_backbone("test_vit", num_classes=4, image_size=64, pool="avg", seed=3).model.eval()
    torch.manual_seed(1)
    theirs = timm.create_model("test_vit", num_classes=4, img_size=64, global_pool="avg").eval()
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        images = _images(64)
        assert torch.equal(ours(images), theirs(images))
        tokens = ours.forward_features(images)
        by_hand = ours.head(ours.fc_norm(tokens[:, 1:].mean(dim=1)))
    assert torch.allclose(ours(images), by_hand, atol=1e-6)


def test_build_backbone_pooling_changes_the_output() -> None:
    token = build_backbone("test_vit", num_classes=4, image_size=64, pool="token")
    mean = build_backbone("test_vit", num_classes=4, image_size=64, pool="avg")
    assert (token.fresh, mean.fresh) == ((), ("fc_norm",))
    with torch.no_grad():
        assert not torch.allclose(token.model.eval()(_images(64)), mean.model.eval()(_images(64)), atol=1e-3)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_build_backbone_base_is_independent_of_the_number_of_classes(name: str) -> None:
    few = get_base_state(build_backbone(name, num_classes=2, image_size=64, seed=5))
    many = get_base_state(build_backbone(name, num_classes=14, image_size=64, seed=5))
    assert list(few) == list(many)
    assert all(torch.equal(few[key], many[key]) for key in few)
    assert not any(key.startswith(("head.", "fc.")) for key in few)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_build_backbone_seed_decides_the_weights(name: str) -> None:
    states = [build_backbone(name, num_classes=3, image_size=64, seed=seed).model.state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    differing = [key for key in states[0] if not torch.equal(states[0][key], states[2][key])]
    assert any(key.startswith(("head.", "fc.")) for key in differing)
    assert any(not key.startswith(("head.", "fc.")) for key in differing)


def test_build_backbone_leaves_the_callers_random_numbers() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    build_backbone("test_vit", num_classes=3, image_size=64, seed=99)
    assert torch.equal(torch.rand(3), expected)


def test_build_backbone_head_has_the_asked_spread() -> None:
    backbone = build_backbone("test_vit", num_classes=200, image_size=64, head_init_std=2e-5)
    head = backbone.model.get_submodule(backbone.head)
    assert head.weight.std().item() == pytest.approx(2e-5, rel=0.05)
    assert not head.bias.any()


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("test_vit", {"image_size": 50}, "50 pixels: the size must be a multiple of 16. Use --image-size 48 or 64"),
        ("swin_tiny_patch4_window7_224", {"image_size": 50}, "multiple of 4. Use --image-size 48 or 52"),
        ("convnext_tiny", {"image_size": 16}, "'convnext_tiny' cannot take images of 16 pixels"),
        ("resnet181", {}, "no backbone 'resnet181'.*Did you mean.*resnet18"),
        ("resnet18.no_such_tag", {}, "no weights 'no_such_tag'"),
        ("test_resnet", {"pool": "token"}, "no class token to pool from.*--pool avg"),
        ("swin_tiny_patch4_window7_224", {"pool": "token"}, "no class token to pool from"),
        ("deit_tiny_distilled_patch16_224", {"image_size": 32}, "exactly one Linear layer as the head"),
        ("test_vit3", {"image_size": 64}, "pools by 'map'.*--pool avg"),
    ],
)
def test_build_backbone_refuses(name: str, options: dict, text: str) -> None:
    with pytest.raises(BackboneError, match=text):
        build_backbone(name, num_classes=3, **options)


def test_build_backbone_refuses_weights_that_do_not_exist_yet() -> None:
    """`--weights demo` gave random weights without a word, under the normalisation of other weights."""
    with pytest.raises(BackboneError, match="demo"):
        build_backbone("test_vit", num_classes=3, image_size=64, weights="demo")


def test_build_backbone_drop_path_rises_with_depth() -> None:
    model = build_backbone("test_vit", num_classes=3, image_size=64, drop_path=0.2).model
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.2)
    assert rates == sorted(rates)


def test_random_resnet_has_open_residual_branches() -> None:
    """LoRA on a random ResNet learned almost nothing: each block ended in a norm that timm starts at zero."""
    model = build_backbone("resnet18", num_classes=2, image_size=32).model
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(bool(norm.weight.any()) for norm in norms)
