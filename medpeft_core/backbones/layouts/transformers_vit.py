"""Layouts of Hugging Face transformers: ViT with ViTMAE, and DINOv2 as RAD-DINO ships it; of versions 4 and 5.

The ViT of transformers adds 1e-12 to variances in its norms, timm's 1e-6: features differ in the fifth digit. DINOv2 is
the same in both.
"""

import re

from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, Place

FIXED = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
LAYER = re.compile(r"^(?:encoder\.layer|layers|encoder\.layers)\.(\d+)\.(.+?)\.?(weight|bias|lambda1)$")
# inside a layer: the end of the name in version 4 or 5 -> timm's, and the part of the joined tensor
IN_LAYER: dict[str, tuple[str, int | None]] = {
    "attention.attention.query": ("attn.qkv", 0), "attention.q_proj": ("attn.qkv", 0),
    "attention.attention.key": ("attn.qkv", 1), "attention.k_proj": ("attn.qkv", 1),
    "attention.attention.value": ("attn.qkv", 2), "attention.v_proj": ("attn.qkv", 2),
    "attention.output.dense": ("attn.proj", None), "attention.o_proj": ("attn.proj", None),
    "layernorm_before": ("norm1", None), "norm1": ("norm1", None),
    "layernorm_after": ("norm2", None), "norm2": ("norm2", None),
    "intermediate.dense": ("mlp.fc1", None), "mlp.fc1": ("mlp.fc1", None),
    "output.dense": ("mlp.fc2", None), "mlp.fc2": ("mlp.fc2", None),
    "mlp.weights_in": ("mlp.fc1", None), "mlp.weights_out": ("mlp.fc2", None),
    "mlp.gate_proj": ("mlp.fc1", 0), "mlp.up_proj": ("mlp.fc1", 1), "mlp.down_proj": ("mlp.fc2", None),
    "layer_scale1": ("ls1", None), "layer_scale2": ("ls2", None),
}  # fmt: skip
QKV, GATED = 3, 2
MASK = (r"embeddings\.mask_token$", "stands for hidden patches, which pre-training alone has")


def place_transformers(name: str) -> Place:
    """timm's name, with query, key and value as the three parts of one tensor."""
    if name in FIXED:
        return Place(FIXED[name])
    found = LAYER.match(name)
    if found is None or found[2] not in IN_LAYER:
        return Place(name)
    inner, part = IN_LAYER[found[2]]
    return Place(f"blocks.{found[1]}.{inner}.{'gamma' if found[3] == 'lambda1' else found[3]}", part)


def count_parts(target: str) -> int:
    """Tensors that are joined under a target of timm's, where `place_transformers` numbers them."""
    return QKV if ".attn.qkv." in target else GATED if ".mlp.fc1." in target else 1


LAYOUTS.add(
    Layout(
        name="hf_dinov2",
        title="DINOv2 of transformers, RAD-DINO",
        marks=((r"layer_scale1\.lambda1$",),),
        place=place_transformers,
        parts=count_parts,
        dropped=(MASK,),
        source="huggingface/transformers models/dinov2/modeling_dinov2.py",
    )
)
LAYOUTS.add(
    Layout(
        name="hf_vit",
        title="ViT and ViTMAE of transformers",
        marks=((r"\.layernorm_before\.weight$",),),
        place=place_transformers,
        parts=count_parts,
        dropped=(MASK, (r"decoder\.", "the decoder, which pre-training alone needs")),
        source="huggingface/transformers models/vit/modeling_vit.py, models/vit_mae/modeling_vit_mae.py",
    )
)
