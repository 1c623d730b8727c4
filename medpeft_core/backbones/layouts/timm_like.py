"""Layouts that name their tensors almost as timm does: timm itself, MAE and its relatives, and Meta's DINOv2."""

import re

from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, Place

BLOCKS, MASK_TOKEN = r"(^|\.)blocks\.\d+\.", r"(^|\.)mask_token$"
MAE_MARKS = ((BLOCKS, r"(^|\.)decoder_(blocks|embed|pos_embed|pred)\b"), (BLOCKS, r"(^|\.)bert_(encoder|mlp)\."))
MAE_DROPPED = (
    (r"decoder_", "the decoder, which pre-training alone needs"),
    (r"mask_token$", "stands for hidden patches, which pre-training alone has"),
    (r"bert_(encoder|mlp)\.", "the encoder of reports, which pre-training alone needs"),
)
DINOV2_CHUNK = re.compile(r"^blocks\.\d+\.(\d+)\.")


def place_dinov2(name: str) -> Place:
    """Meta's names: blocks in chunks, SwiGLU as w12 and w3, and registers under their own name."""
    name = DINOV2_CHUNK.sub(r"blocks.\1.", name)  # the second number counts through all chunks
    name = "reg_token" if name == "register_tokens" else name
    return Place(name.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2."))


LAYOUTS.add(
    Layout(
        name="mae",
        title="MAE, MRM, CXR-MAE, RETFound",
        marks=MAE_MARKS,
        dropped=MAE_DROPPED,
        source="facebookresearch/mae models_mae.py; RL4M/MRM-pytorch; rmaphoh/RETFound_MAE models_mae.py",
    )
)
LAYOUTS.add(
    Layout(
        name="dinov2",
        title="DINOv2 as Meta writes it",
        marks=((BLOCKS + r"\d+\.",), (BLOCKS, r"(^|\.)register_tokens$"), (MASK_TOKEN, BLOCKS + r"ls1\.gamma$")),
        place=place_dinov2,
        dropped=((r"mask_token$", "stands for hidden patches, which pre-training alone has"),),
        source="facebookresearch/dinov2 dinov2/models/vision_transformer.py; rmaphoh/RETFound_MAE",
    )
)
LAYOUTS.add(
    Layout(
        name="timm",
        title="timm, DeiT, DINO",
        source="huggingface/pytorch-image-models timm/models",
    )
)
