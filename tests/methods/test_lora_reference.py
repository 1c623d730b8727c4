"""Our LoRA against the one of Lian et al. 2024 (arXiv:2401.12215), written again in plain torch, without peft."""

import copy
import math

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.training.build import apply_method

ALPHA = 32
RANKS = [4, 8, 16, 32]


class PaperLoRA(nn.Module):
    """The fused qkv layer with low-rank additions on q and v.

    `lora_a` (2r, D): the first r rows read for q, the last r for v. `lora_b` (2D, r): two groups,
    first q, then v; k gets nothing.
    """

    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        width = qkv.in_features
        self.qkv, self.rank, self.width, self.scale = qkv, rank, width, ALPHA / rank
        self.lora_a = nn.Parameter(torch.empty(2 * rank, width))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.lora_b = nn.Parameter(torch.zeros(2 * width, rank))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        low = F.linear(tokens, self.lora_a).transpose(1, 2)  # (B, 2r, N)
        added = F.conv1d(low, self.lora_b.unsqueeze(-1), groups=2).transpose(1, 2)  # (B, N, 2D)
        q, v = added.split(self.width, dim=-1)
        return self.qkv(tokens) + self.scale * torch.cat((q, torch.zeros_like(q), v), dim=-1)


class PaperModel(nn.Module):
    """A plain timm ViT with `PaperLoRA` in every block, mean pooling, fc_norm and head, as the paper runs it."""

    def __init__(self, vit: nn.Module, rank: int) -> None:
        super().__init__()
        self.vit = vit
        for block in vit.blocks:
            block.attn.qkv = PaperLoRA(block.attn.qkv, rank)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vit = self.vit
        tokens = vit.patch_embed(images)
        tokens = torch.cat((vit.cls_token.expand(len(images), -1, -1), tokens), dim=1) + vit.pos_embed
        for block in vit.blocks:
            tokens = block(tokens)
        return vit.head(vit.fc_norm(tokens[:, 1:].mean(dim=1)))  # the class token is left out


def _pair(backbone: Backbone, rank: int, *, targets: str = "q,v") -> tuple[AdaptedModel, PaperModel]:
    """Ours and the paper's with the same base, A and B; B is not zero, so that both matter."""
    paper = PaperModel(copy.deepcopy(backbone.model), rank)
    config = RunConfig(method=MethodConfig(name="lora", knobs={"rank": rank, "targets": targets}))
    ours = apply_method(backbone, config).adapted
    generator = torch.Generator().manual_seed(rank)
    for name, parameter in ours.trainable().items():
        if ".lora_B" in name:
            parameter.data.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    for ours_block, paper_block in zip(ours.network.blocks, paper.vit.blocks, strict=True):
        qkv = ours_block.attn.qkv
        parts = [(part.lora_A["default"].weight, part.lora_B["default"].weight) for part in (qkv.q, qkv.v)]
        paper_block.attn.qkv.lora_a.data.copy_(torch.cat([a.detach() for a, _ in parts]))
        paper_block.attn.qkv.lora_b.data.copy_(torch.cat([b.detach() for _, b in parts]))
    ours.network.eval()
    return ours, paper.eval()


def _assert_equal(ours: AdaptedModel, paper: PaperModel, image_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, image_size, image_size, generator=generator)
    targets = torch.randint(0, 2, (3, 5), generator=generator).float()
    logits, expected = ours.network(images), paper(images)
    assert (logits - expected).abs().max().item() <= 1e-6
    for output in (logits, expected):
        F.binary_cross_entropy_with_logits(output, targets).backward()
    for ours_block, paper_block in zip(ours.network.blocks, paper.vit.blocks, strict=True):
        qkv, reference = ours_block.attn.qkv, paper_block.attn.qkv
        for letter, wanted in (("A", reference.lora_a.grad), ("B", reference.lora_b.grad)):
            found = torch.cat([getattr(part, f"lora_{letter}")["default"].weight.grad for part in (qkv.q, qkv.v)])
            assert wanted.abs().max().item() > 0
            assert (found - wanted).abs().max().item() <= 1e-5 * max(1.0, wanted.abs().max().item())


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("image_size", [32, 64])
def test_lora_equals_the_paper(rank: int, image_size: int) -> None:
    backbone = build_backbone("vit_tiny_patch16_224", num_classes=5, image_size=image_size, pool="avg")
    ours, paper = _pair(backbone, rank)
    _assert_equal(ours, paper, image_size)


@pytest.mark.parametrize("rank", RANKS)
def test_lora_equals_the_paper_at_the_width_of_vit_base(rank: int) -> None:
    torch.manual_seed(0)
    vit = timm.create_model("vit_base_patch16_224", num_classes=5, img_size=32, global_pool="avg", depth=1)
    backbone = Backbone(
        name="vit_base_patch16_224", kind="vit", model=vit, head="head", fresh=("fc_norm",), image_size=32, pool="avg",
        num_prefix_tokens=1, cam_layer="blocks.0.norm1", mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip
    _assert_equal(*_pair(backbone, rank), 32)


@pytest.mark.parametrize("rank", RANKS)
def test_lora_additions_differ_from_the_base(rank: int) -> None:
    """The comparison above means nothing if the additions are too small to be seen in it."""
    backbone = build_backbone("vit_tiny_patch16_224", num_classes=5, image_size=32, pool="avg")
    bare = copy.deepcopy(backbone.model).eval()
    ours, _ = _pair(backbone, rank)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (ours.network(images) - bare(images)).abs().max().item() > 1e-4


def test_lora_without_training_equals_the_base() -> None:
    backbone = build_backbone("vit_tiny_patch16_224", num_classes=5, image_size=32, pool="avg")
    bare = copy.deepcopy(backbone.model).eval()
    config = RunConfig(method=MethodConfig(name="lora", knobs={"rank": 8, "targets": "q,v"}))
    ours = apply_method(backbone, config).adapted.network.eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(images), bare(images))


@pytest.mark.parametrize("rank", RANKS)
def test_lora_scale_is_alpha_over_rank(rank: int) -> None:
    backbone = build_backbone("vit_tiny_patch16_224", num_classes=5, image_size=32, pool="avg")
    ours, _ = _pair(backbone, rank)
    layer = ours.network.blocks[0].attn.qkv.q
    assert layer.scaling["default"] == ALPHA / rank
    assert layer.lora_dropout["default"].p == 0.1
