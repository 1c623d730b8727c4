"""AdaptFormer against equations 2 and 3 of Chen et al. 2022 (arXiv:2205.13535), written again in plain torch."""

import copy
import math
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from tiny_models import ARCHITECTURES, IMAGE_SIZE
from torch import nn
from trials import build, build_bare, make_batch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import ConfigError, MethodError
from medpeft_core.methods import METHODS, ModelParts
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.methods.adaptformer import AdaptFormerKnobs, build_adaptformer
from medpeft_core.training.build import BuiltModel, apply_method

Weights = dict[str, torch.Tensor]
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias")


def shake(adapted: AdaptedModel) -> None:
    """Trained parameters as they might be after training: none is zero any more."""
    generator = torch.Generator().manual_seed(1)
    for parameter in adapted.trainable().values():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def copy_adapters(adapted: AdaptedModel) -> list[Weights]:
    """By block, copies of W_down, b, W_up and b' that take gradients of their own."""
    names = sorted({name.split(".mlp.")[0] for name in adapted.trainable() if ".mlp.up." in name})
    trained = adapted.trainable()
    return [{part: trained[f"{name}.mlp.{part}"].detach().clone().requires_grad_() for part in PARTS} for name in names]


def bottleneck(tokens: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Equation 2, from tokens that are normalised already."""
    hidden = torch.einsum("bnd,md->bnm", tokens, weights["down.weight"]) + weights["down.bias"]
    hidden = torch.where(hidden > 0, hidden, torch.zeros_like(hidden))
    return torch.einsum("bnm,dm->bnd", hidden, weights["up.weight"]) + weights["up.bias"]


def attend(tokens: torch.Tensor, attention: nn.Module) -> torch.Tensor:
    """Softmax attention of a timm block, written out."""
    width = tokens.shape[2] // attention.num_heads
    q, k, v = attention.qkv(tokens).unflatten(2, (3, -1, width)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, width)
    scores = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(width), dim=3)
    return attention.proj((scores @ v).transpose(1, 2).flatten(2))  # (B, N, D)


def run_vit(vit: nn.Module, images: torch.Tensor, adapters: list[Weights], *, scale: float) -> torch.Tensor:
    """A whole timm ViT with class token, in which every block follows equations 2 and 3; `vit` has no adapters."""
    tokens = vit._pos_embed(vit.patch_embed(images))  # with class token
    for block, weights in zip(vit.blocks, adapters, strict=True):
        tokens = tokens + block.ls1(attend(block.norm1(tokens), block.attn))  # x'
        normed = F.layer_norm(tokens, tokens.shape[-1:], block.norm2.weight, block.norm2.bias, block.norm2.eps)
        mlp = block.mlp.fc2(F.gelu(block.mlp.fc1(normed)))
        tokens = block.ls2(mlp + scale * bottleneck(normed, weights)) + tokens  # LayerScale acts on the sum
    tokens = vit.norm(tokens)
    return vit.head(vit.fc_norm(tokens[:, 0] if vit.global_pool == "token" else tokens[:, 1:].mean(dim=1)))


def build_exact(backbone: str, *, pool: str | None = None, **knobs: object) -> tuple[BuiltModel, nn.Module]:
    """A built model in float64 with adapters that are not zero, and the model as it was before."""
    bare = build_backbone(backbone, num_classes=2, image_size=IMAGE_SIZE, pool=pool)
    bare.model.eval()
    generator = torch.Generator().manual_seed(2)
    for name, parameter in bare.model.named_parameters():
        if ".ls" in name:  # timm starts LayerScale at 1e-5, with which nothing would be seen
            parameter.data = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
    before = copy.deepcopy(bare.model)
    built = apply_method(bare, RunConfig(method=MethodConfig(name="adaptformer", knobs=knobs)))
    built.adapted.network.double()
    shake(built.adapted)
    before.double()
    before.load_state_dict(built.adapted.network.state_dict(), strict=False)  # the head, and fc_norm
    built.adapted.network.eval()
    return built, before


@pytest.fixture(autouse=True)
def _small_layer_scale_vit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow ViT with LayerScale, under a name of its own."""

    def tiny_layer_scale_vit(pretrained: bool = False, **options: object) -> nn.Module:
        sizes = {"patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64, "init_values": 1e-5}
        return timm.models.vision_transformer._create_vision_transformer(
            "vit_small_patch14_dinov2", pretrained=False, **{**sizes, **options}
        )

    monkeypatch.setitem(timm.models._registry._model_entrypoints, "tiny_layer_scale_vit", tiny_layer_scale_vit)


@pytest.mark.parametrize(
    ("backbone", "pool", "knobs"),
    [
        ("test_vit", "token", {"bottleneck": 5, "scale": 0.1}),
        ("test_vit", "avg", {"bottleneck": 64, "scale": 2.0}),
        ("tiny_layer_scale_vit", "token", {"bottleneck": 7, "scale": 0.7}),
    ],
)
def test_adaptformer_equals_the_paper(backbone: str, pool: str, knobs: dict[str, float]) -> None:
    built, vit = build_exact(backbone, pool=pool, **knobs)
    network = built.adapted.network
    adapters = copy_adapters(built.adapted)
    images, targets = (tensor.double() for tensor in make_batch())
    logits = network(images)
    expected = run_vit(vit, images, adapters, scale=knobs["scale"])
    assert (vit(images) - expected).abs().max() > 1e-3  # the adapters are seen
    assert (logits - expected).abs().max() <= 1e-12
    for output in (logits, expected):
        F.binary_cross_entropy_with_logits(output, targets).backward()
    for index, weights in enumerate(adapters):
        for part, wanted in weights.items():
            found = network.get_parameter(f"blocks.{index}.mlp.{part}").grad
            assert wanted.grad.abs().max() > 0
            assert (found - wanted.grad).abs().max() <= 1e-12


def _run_swin_block(block: nn.Module, features: torch.Tensor, added: Callable) -> torch.Tensor:
    features = features + block._attn(block.norm1(features))
    tokens = block.norm2(features).flatten(1, 2)  # (B, H W, D)
    mlp = block.mlp.fc2(F.gelu(block.mlp.fc1(tokens)))
    return features + (mlp + added(tokens)).view_as(features)


def test_adaptformer_equals_the_paper_in_windowed_blocks() -> None:
    """Block by block, each on the input that it gets in the model."""
    built, swin = build_exact("tiny_swin", bottleneck=6, scale=0.5)
    network, seen = built.adapted.network, []
    names = [
        name.removesuffix(".mlp.up.weight") for name in built.adapted.trainable() if name.endswith("mlp.up.weight")
    ]
    assert len(names) == 4
    for name in names:
        network.get_submodule(name).register_forward_hook(
            lambda block, inputs, output: seen.append((inputs[0], output))
        )
    with torch.no_grad():
        network(make_batch()[0].double())
    for name, weights, (features, output) in zip(names, copy_adapters(built.adapted), seen, strict=True):
        block = swin.get_submodule(name)
        with torch.no_grad():
            expected = _run_swin_block(
                block, features, lambda tokens, weights=weights: 0.5 * bottleneck(tokens, weights)
            )
            assert (output - expected).abs().max() <= 1e-12
            assert (output - block(features)).abs().max() > 1e-3


def test_adaptformer_in_a_post_norm_block_reads_what_the_mlp_reads() -> None:
    """As the docstring says: x' without LN goes in, and the norm acts on the sum."""
    torch.manual_seed(0)
    block = timm.models.vision_transformer.ResPostBlock(dim=24, num_heads=2).double().eval()
    block.head = nn.Linear(24, 2, dtype=torch.float64)
    plain = copy.deepcopy(block)
    parts = ModelParts(backbone="made", kind="vit", head="head", mlps=("mlp",))
    adapted = build_adaptformer(block, parts, AdaptFormerKnobs(bottleneck=3, scale=0.4))
    shake(adapted)
    block.eval()
    weights = {part: block.get_parameter(f"mlp.{part}") for part in PARTS}
    tokens = torch.randn(2, 5, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    attended = tokens + plain.norm1(attend(tokens, plain.attn))
    expected = attended + plain.norm2(plain.mlp(attended) + 0.4 * bottleneck(attended, weights))
    assert (block(tokens) - expected).abs().max() <= 1e-12


def test_adaptformer_drop_path_acts_on_the_sum() -> None:
    """A block whose MLP is dropped drops the bottleneck's output with it."""
    bare = build_backbone("test_vit", num_classes=2, image_size=IMAGE_SIZE, drop_path=0.5)
    built = apply_method(bare, RunConfig(method=MethodConfig(name="adaptformer", knobs={"dropout": 0.0})))
    shake(built.adapted)
    block = built.adapted.network.blocks[-1].train()
    tokens = torch.randn(64, 5, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.no_grad():
        added = block.drop_path2(block.mlp(tokens))  # (64, 5, 64), each image kept and doubled, or dropped
        block.eval()
        whole = block.mlp(tokens)
    is_dropped = (added == 0).flatten(1).all(dim=1)
    assert 0 < is_dropped.sum() < 64
    assert torch.allclose(added[~is_dropped], 2 * whole[~is_dropped])


def test_adaptformer_dropout_is_between_relu_and_up() -> None:
    """In train mode, with W_up and W_down as identities, kept entries are 1 / (1 - p) times what they were."""
    adapted = build("adaptformer", "test_vit", bottleneck=64, scale=1.0, dropout=0.25).adapted
    layer = adapted.network.blocks[0].mlp.train()
    layer.mlp = nn.Identity()
    layer.down.weight.data, layer.up.weight.data = torch.eye(64), torch.eye(64)
    tokens = torch.rand(4, 100, 64, generator=torch.Generator().manual_seed(0)) + 0.1
    added = (layer(tokens) - tokens) / tokens
    is_dropped = added.abs() < 1e-5
    assert is_dropped.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.allclose(added[~is_dropped], torch.tensor(1 / 0.75), atol=1e-5)
    assert torch.allclose(layer.eval()(tokens), 2 * tokens)


def test_adaptformer_starts_as_the_authors_do() -> None:
    trained = build("adaptformer", "test_vit").adapted.trainable()
    downs = torch.cat([value.detach().flatten() for name, value in trained.items() if name.endswith("down.weight")])
    bound = 1 / math.sqrt(64)  # Kaiming uniform with a = sqrt 5
    assert bound * 0.999 < downs.abs().max().item() <= bound
    assert downs.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    zeros = [value for name, value in trained.items() if name.endswith(("down.bias", "up.weight", "up.bias"))]
    assert len(zeros) == 3 * 6
    assert not any(value.any() for value in zeros)


@pytest.mark.parametrize(
    ("backbone", "width", "depth", "num_bottleneck", "printed"),
    [
        ("vit_base_patch16_224", 768, 12, 6, "0.1M"),
        ("vit_large_patch16_224", 1024, 24, 6, "0.3M"),
        ("vit_huge_patch14_224", 1280, 32, 6, "0.5M"),
        ("vit_base_patch16_224", 768, 12, 64, "1.2M"),
    ],
)
def test_adaptformer_counts(backbone: str, width: int, depth: int, num_bottleneck: int, printed: str) -> None:
    """Dutt et al. 2024 print 0.1, 0.3 and 0.5M for B, L and H, which a bottleneck of 6 gives; 64 is the usual one."""
    with torch.device("meta"):
        bare = build_backbone(backbone, num_classes=3, image_size=224)
        config = RunConfig(method=MethodConfig(name="adaptformer", knobs={"bottleneck": num_bottleneck}))
        adapted = apply_method(bare, config).adapted
    expected = depth * (2 * width * num_bottleneck + num_bottleneck + width)
    head = 3 * width + 3
    assert adapted.num_trainable_params() == expected + head
    assert f"{expected / 1e6:.1f}M" == printed


def test_adaptformer_trains_the_adapters_and_the_head() -> None:
    bare = build_bare("test_vit").model
    trained = build("adaptformer", "test_vit").adapted.trainable()
    assert {name.split(".")[0] for name in trained} == {"blocks", "head"}
    assert {name.split(".mlp.")[-1] for name in trained if name.startswith("blocks.")} == set(PARTS)
    assert not set(trained) & {name for name, _ in bare.named_parameters() if not name.startswith("head.")}


def test_adaptformer_deep_copies_are_apart() -> None:
    network = build("adaptformer", "test_vit").adapted.network.eval()
    images = make_batch()[0]
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(images)
        twin.blocks[0].mlp.up.bias[0] += 1  # not all of them: a norm would take that away
        assert torch.equal(network(images), before)
        assert not torch.allclose(twin(images), before, atol=1e-4)


def test_adaptformer_refuses_a_bottleneck_wider_than_the_mlp() -> None:
    with pytest.raises(MethodError) as caught:
        build("adaptformer", "tiny_swin", bottleneck=193)
    assert str(caught.value) == (
        "method.bottleneck is 193, but the MLP 'layers.0.blocks.0.mlp' itself has a hidden layer of only 192. "
        "Use at most 192, better 8 to 64."
    )
    assert build("adaptformer", "tiny_swin", bottleneck=192).adapted.num_trainable_params()


@pytest.mark.parametrize(("knob", "value"), [("bottleneck", 0), ("scale", 0.0), ("dropout", 1.0), ("dropout", -0.1)])
def test_adaptformer_refuses_bad_knobs(knob: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"method\.{knob} is {value}, but it must be"):
        build("adaptformer", "test_vit", **{knob: value})


def test_adaptformer_cannot_be_merged() -> None:
    with pytest.raises(
        MethodError, match=r"'adaptformer' cannot be merged into its backbone: the ReLU in its bottleneck"
    ):
        build("adaptformer", "test_vit").adapted.merge()


def test_adaptformer_fits_transformers_only() -> None:
    assert set(METHODS["adaptformer"].fits) == {"vit", "windowed_vit"}
    with pytest.raises(MethodError, match="it needs transformer blocks with an MLP beside their attention"):
        build("adaptformer", ARCHITECTURES["ResNet"])
