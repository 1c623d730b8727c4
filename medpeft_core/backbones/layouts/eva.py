"""The layout of EVA-02 and EVA-X as their own code writes it."""

from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, Place

# in this order: w12 holds w1
RENAMED = (
    (".mlp.ffn_ln.", ".mlp.norm."), (".attn.inner_attn_ln.", ".attn.norm."), (".mlp.w12.", ".mlp.fc1."),
    (".mlp.w1.", ".mlp.fc1_g."), (".mlp.w2.", ".mlp.fc1_x."), (".mlp.w3.", ".mlp.fc2."),
)  # fmt: skip
MARKS = (
    (r"\brope\.freqs_(cos|sin)$",), (r"\.mlp\.ffn_ln\.",), (r"\.attn\.inner_attn_ln\.",), (r"\.attn\.q_bias$",),
)  # fmt: skip


def place_eva(name: str) -> Place:
    """timm's name."""
    for theirs, ours in RENAMED:
        name = name.replace(theirs, ours)
    return Place(name)


LAYOUTS.add(
    Layout(
        name="eva",
        title="EVA-02, EVA-X",
        marks=MARKS,
        place=place_eva,
        aliases=((".attn.q_bias", ".attn.q_proj.bias"), (".attn.v_bias", ".attn.v_proj.bias")),
        dropped=(
            (r"(blocks\.\d+\.attn\.)?rope\.", "computed, not learned"),
            (r"mask_token$", "stands for hidden patches, which pre-training alone has"),
            (r"lm_head\.", "predicts hidden patches, which pre-training alone does"),
        ),
        norm_is_for_pooling=True,
        source="hustvl/EVA-X eva_x.py, classification/models/models_eva.py; baaivision/EVA EVA-02",
    )
)
