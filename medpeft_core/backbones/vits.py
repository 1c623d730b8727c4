"""Vision transformers: plain ones from tiny to large, MAE and DINOv2 weights, and one with windows."""

from medpeft_core.backbones.spec import BACKBONES, BackboneSpec
from medpeft_core.traits import PLAIN_VIT, WINDOWED_VIT

VIT_PAPER = "Dosovitskiy et al. 2021, arXiv:2010.11929"
AUGREG_PAPER = "Steiner et al. 2022, arXiv:2106.10270"
MAE_PAPER = "He et al. 2022, arXiv:2111.06377"
DINOV2_PAPER = "Oquab et al. 2024, arXiv:2304.07193"


def _add_plain_vit(size: str, title: str, num_params: int, description: str) -> None:
    BACKBONES.add(
        BackboneSpec(
            name=f"vit_{size}_patch16_224",
            title=title,
            description=description,
            kind="vit",
            traits=PLAIN_VIT[1],
            num_params=num_params,
            image_size=224,
            size_multiple=16,
            pools=("token", "avg"),
            pretrained="ImageNet-21k, then ImageNet-1k, with labels",
            licence="Apache-2.0",
            reference=f"{VIT_PAPER}; {AUGREG_PAPER}",
        )
    )


def _add_mae_vit(size: str, title: str, num_params: int, description: str) -> None:
    BACKBONES.add(
        BackboneSpec(
            name=f"vit_{size}_patch16_224.mae",
            title=title,
            description=description,
            kind="vit",
            traits=PLAIN_VIT[1],
            num_params=num_params,
            image_size=224,
            size_multiple=16,
            pools=("token", "avg"),
            pretrained="ImageNet-1k without labels, by masked autoencoding",
            licence="CC-BY-NC-4.0",
            reference=MAE_PAPER,
        )
    )


def _add_dinov2_vit(size: str, title: str, num_params: int) -> None:
    BACKBONES.add(
        BackboneSpec(
            name=f"vit_{size}_patch14_dinov2",
            title=title,
            description="Features learned without labels from 142 million images; strong under linear probing.",
            kind="vit",
            traits=PLAIN_VIT[1],
            num_params=num_params,
            image_size=518,
            size_multiple=14,
            pools=("token", "avg"),
            pretrained="LVD-142M without labels, by DINOv2",
            licence="Apache-2.0",
            reference=DINOV2_PAPER,
        )
    )


_add_plain_vit("tiny", "ViT-Tiny/16", 5_524_416, "Smallest plain ViT; trains on a laptop.")
_add_plain_vit("small", "ViT-Small/16", 21_665_664, "Good compromise of speed and quality on one GPU.")
_add_plain_vit("base", "ViT-Base/16", 85_798_656, "The size that both papers compare methods on.")
_add_plain_vit("large", "ViT-Large/16", 303_301_632, "Where parameter-efficient methods save most; needs a GPU.")
_add_mae_vit("base", "ViT-Base/16 MAE", 85_798_656, "The kind of pre-training that Lian et al. 2024 build on.")
_add_mae_vit("large", "ViT-Large/16 MAE", 303_301_632, "The larger MAE model of Lian et al. 2024, table 4.")
_add_dinov2_vit("small", "ViT-Small/14 DINOv2", 22_056_192)
_add_dinov2_vit("base", "ViT-Base/14 DINOv2", 86_579_712)
_add_dinov2_vit("large", "ViT-Large/14 DINOv2", 304_367_616)
BACKBONES.add(
    BackboneSpec(
        name="swin_tiny_patch4_window7_224",
        title="Swin-Tiny",
        description="Attention inside shifted windows; a transformer with the pyramid of a CNN.",
        kind="windowed_vit",
        traits=WINDOWED_VIT[1],
        num_params=27_519_354,
        image_size=224,
        size_multiple=4,
        pools=("avg",),
        pretrained="ImageNet-1k with labels",
        licence="MIT",
        reference="Liu et al. 2021, arXiv:2103.14030",
    )
)
