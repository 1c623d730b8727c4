"""Look-alikes of foreign weights files, and what their own code computes with them, written down independently."""

from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from torch import nn

WIDTH, DEPTH, HEADS, SIZE, PATCH = 48, 2, 3, 64, 16
GRID = SIZE // PATCH
EPS = 1e-6
State = dict[str, torch.Tensor]


def build(architecture: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    """A tiny timm model without head, in eval mode."""
    sizes = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS}
    return timm.create_model(architecture, num_classes=0, **{**sizes, **options}).eval()


def fill(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Random tensors of these shapes, norms near one."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.1 + ("norm" in name) for name, shape in shapes.items()}


def list_vit(*, grid: int = GRID, prefix: int = 1, depth: int = DEPTH) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the encoder that MAE writes, with its final norm: 4 + 12 for each block + 2."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, grid * grid + prefix, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
    }
    for block in range(depth):
        for name, rows, columns in (
            ("norm1", WIDTH, 0), ("attn.qkv", 3 * WIDTH, WIDTH), ("attn.proj", WIDTH, WIDTH),
            ("norm2", WIDTH, 0), ("mlp.fc1", 4 * WIDTH, WIDTH), ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):  # fmt: skip
            shapes[f"blocks.{block}.{name}.weight"] = (rows, columns) if columns else (rows,)
            shapes[f"blocks.{block}.{name}.bias"] = (rows,)
    return {**shapes, "norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}


def list_mae_rest() -> dict[str, tuple[int, ...]]:
    """The decoder of MAE and the text half of MRM."""
    return {
        "mask_token": (1, 1, 32), "decoder_pos_embed": (1, 17, 32), "decoder_embed.weight": (32, WIDTH),
        "decoder_embed.bias": (32,), "decoder_blocks.0.norm1.weight": (32,), "decoder_norm.weight": (32,),
        "decoder_pred.weight": (768, 32), "bert_encoder.model.embeddings.word_embeddings.weight": (9, 8),
        "bert_mlp.0.weight": (8, WIDTH),
    }  # fmt: skip


def save(content: object, path: Path) -> Path:
    """Write a file of the kind that its name says."""
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path)
    return path


def run(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What the model gives, without gradients."""
    with torch.no_grad():
        return model(images)


def attend(tokens: torch.Tensor, state: State, names: tuple[str, str, str]) -> torch.Tensor:
    """Softmax attention with separate queries, keys and values, before its output projection."""
    split = []
    for name in names:
        bias = state.get(f"{name}.bias")
        rows = F.linear(tokens, state[f"{name}.weight"], bias)
        split.append(rows.unflatten(-1, (HEADS, -1)).transpose(1, 2))
    queries, keys, values = split  # each (B, heads, N, D / heads)
    weights = (queries @ keys.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5).softmax(dim=-1)
    return (weights @ values).transpose(1, 2).flatten(2)


def apply_linear(tokens: torch.Tensor, state: State, name: str) -> torch.Tensor:
    return F.linear(tokens, state[f"{name}.weight"], state[f"{name}.bias"])


def apply_norm(tokens: torch.Tensor, state: State, name: str) -> torch.Tensor:
    return F.layer_norm(tokens, (tokens.shape[-1],), state[f"{name}.weight"], state[f"{name}.bias"], EPS)


def embed(images: torch.Tensor, state: State, names: tuple[str, str, str], *, patch: int = PATCH) -> torch.Tensor:
    """Patches and class token with positions: (B, 1 + N, D)."""
    projection, token, positions = names
    patches = F.conv2d(images, state[f"{projection}.weight"], state[f"{projection}.bias"], stride=patch)
    patches = patches.flatten(2).transpose(1, 2)
    return torch.cat((state[token].expand(len(images), -1, -1), patches), dim=1) + state[positions]


def run_paper_encoder(images: torch.Tensor, state: State, *, pool: str) -> torch.Tensor:
    """MAE's fine-tuning forward: the mean of the patches, or the class token behind the final norm.

    The norm after the mean is fresh: weight 1, bias 0.
    """
    tokens = embed(images, state, ("patch_embed.proj", "cls_token", "pos_embed"))
    for block in range(DEPTH):
        at = f"blocks.{block}"
        qkv = apply_linear(apply_norm(tokens, state, f"{at}.norm1"), state, f"{at}.attn.qkv")
        queries, keys, values = qkv.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        tokens = tokens + apply_linear(mixed, state, f"{at}.attn.proj")
        hidden = F.gelu(apply_linear(apply_norm(tokens, state, f"{at}.norm2"), state, f"{at}.mlp.fc1"))
        tokens = tokens + apply_linear(hidden, state, f"{at}.mlp.fc2")
    if pool == "token":
        return apply_norm(tokens, state, "norm")[:, 0]
    fresh = {"fc_norm.weight": torch.ones(WIDTH), "fc_norm.bias": torch.zeros(WIDTH)}
    return apply_norm(tokens[:, 1:].mean(dim=1), fresh, "fc_norm")


# version of transformers -> how it calls the parts of a layer
HF_NAMES = {
    4: {
        "layer": "encoder.layer", "q": "attention.attention.query", "k": "attention.attention.key",
        "v": "attention.attention.value", "o": "attention.output.dense", "fc1": "intermediate.dense",
        "fc2": "output.dense",
    },
    5: {
        "layer": "layers", "q": "attention.q_proj", "k": "attention.k_proj", "v": "attention.v_proj",
        "o": "attention.o_proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2",
    },
}  # fmt: skip


def name_hf_vit(version: int) -> tuple[dict[str, str], tuple[str, str]]:
    """Names inside a layer of transformers' ViT, and those of its norms."""
    return HF_NAMES[version], ("layernorm_before", "layernorm_after")


def name_hf_dinov2(version: int) -> tuple[dict[str, str], tuple[str, str]]:
    """Names inside a layer of transformers' DINOv2, and those of its norms."""
    return {**HF_NAMES[version], "layer": "encoder.layer", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}, ("norm1", "norm2")


def list_hf(names: tuple[dict[str, str], tuple[str, str]], *, patch: int, has_scales: bool) -> dict[str, tuple]:
    """Names and shapes of a model of transformers."""
    inner, norms = names
    grid = SIZE // patch
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.position_embeddings": (1, grid * grid + 1, WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, patch, patch),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
        "layernorm.weight": (WIDTH,),
        "layernorm.bias": (WIDTH,),
    }
    sizes = {"fc1": (4 * WIDTH, WIDTH), "fc2": (WIDTH, 4 * WIDTH)}
    for block in range(DEPTH):
        at = f"{inner['layer']}.{block}"
        for part in ("q", "k", "v", "o", "fc1", "fc2"):
            rows, columns = sizes.get(part, (WIDTH, WIDTH))
            shapes |= {f"{at}.{inner[part]}.weight": (rows, columns), f"{at}.{inner[part]}.bias": (rows,)}
        for norm in norms:
            shapes |= {f"{at}.{norm}.weight": (WIDTH,), f"{at}.{norm}.bias": (WIDTH,)}
        if has_scales:
            shapes |= {f"{at}.layer_scale{number}.lambda1": (WIDTH,) for number in (1, 2)}
    return shapes


def run_hf(images: torch.Tensor, state: State, names: tuple[dict[str, str], tuple[str, str]], patch: int) -> Any:
    """What transformers computes: the class token behind the final norm."""
    inner, norms = names
    embeddings = (
        "embeddings.patch_embeddings.projection", "embeddings.cls_token", "embeddings.position_embeddings",
    )  # fmt: skip
    tokens = embed(images, state, embeddings, patch=patch)
    for block in range(DEPTH):
        at = f"{inner['layer']}.{block}"
        queries, keys, values = (f"{at}.{inner[part]}" for part in "qkv")
        mixed = attend(apply_norm(tokens, state, f"{at}.{norms[0]}"), state, (queries, keys, values))
        scale = state.get(f"{at}.layer_scale1.lambda1", torch.ones(WIDTH))
        tokens = tokens + scale * apply_linear(mixed, state, f"{at}.{inner['o']}")
        hidden = F.gelu(apply_linear(apply_norm(tokens, state, f"{at}.{norms[1]}"), state, f"{at}.{inner['fc1']}"))
        scale = state.get(f"{at}.layer_scale2.lambda1", torch.ones(WIDTH))
        tokens = tokens + scale * apply_linear(hidden, state, f"{at}.{inner['fc2']}")
    return apply_norm(tokens, state, "layernorm")[:, 0]


def make_images(size: int = SIZE, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(9))
