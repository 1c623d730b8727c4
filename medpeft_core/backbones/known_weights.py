"""Weights of medical foundation models that the lab knows by name: where they are, and how they load. Light."""

from dataclasses import dataclass

from medpeft_core.registry import Registry

NOT_OPENED = "layout from public code, file not opened here"


@dataclass(frozen=True, kw_only=True)
class KnownWeights:
    """One file of weights that others publish.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        description: one or two sentences: what it was trained on, and how.
        backbone: timm name of the model.
        layout: name of the layout of the file.
        image_size: side in pixels that it was trained at.
        pool: "token" or "avg", as its paper uses it.
        normalisation: name in `NORMALISATIONS`.
        hub_id: OWNER/NAME on the Hugging Face Hub; "" where it is not there.
        hub_file: its file there.
        get_it: how to get the file where the hub has it not, or only on request.
        num_bytes: about how large the file is; 0 where that is not known.
        licence: as its source states it.
        reference: paper.
        proof: `NOT_OPENED`, or what was opened.
    """

    name: str
    title: str
    description: str
    backbone: str
    layout: str
    image_size: int
    pool: str
    normalisation: str
    hub_id: str
    hub_file: str
    get_it: str
    num_bytes: int
    licence: str
    reference: str
    proof: str = NOT_OPENED


KNOWN_WEIGHTS: Registry[KnownWeights] = Registry("known weights")


def _add_mae(name: str, title: str, description: str, *, licence: str, reference: str, get_it: str) -> None:
    """A ViT-B encoder of chest films in the layout of MAE, pooled as Lian et al. 2024 do."""
    KNOWN_WEIGHTS.add(
        KnownWeights(
            name=name,
            title=title,
            description=description,
            backbone="vit_base_patch16_224.mae",
            layout="mae",
            image_size=224,
            pool="avg",
            normalisation=name,
            hub_id="",
            hub_file="",
            get_it=get_it,
            num_bytes=0,
            licence=licence,
            reference=reference,
        )
    )


def _add_eva_x(size: str, title: str, epochs: int) -> None:
    KNOWN_WEIGHTS.add(
        KnownWeights(
            name=f"eva_x_{size}",
            title=title,
            description=(
                f"Learned from 520,000 chest films without labels, by predicting the features of hidden patches for "
                f"{epochs} epochs."
            ),
            backbone=f"eva_x_{size}",
            layout="eva",
            image_size=224,
            pool="avg",
            normalisation="eva_x",
            hub_id="MapleF/eva_x",
            hub_file=f"eva_x_{size}_patch16_merged520k_mim.pt",
            get_it="",
            num_bytes=0,
            licence="MIT (its code); the weights state none",
            reference="Yao et al. 2024, arXiv:2405.05237; hustvl/EVA-X",
        )
    )


def _add_retfound(
    name: str, title: str, description: str, *, backbone: str, layout: str, pool: str, hub_name: str, paper: str
) -> None:
    KNOWN_WEIGHTS.add(
        KnownWeights(
            name=name,
            title=title,
            description=description,
            backbone=backbone,
            layout=layout,
            image_size=224,
            pool=pool,
            normalisation="imagenet",
            hub_id=f"YukunZhou/{hub_name}",
            hub_file=f"{hub_name}.pth",
            get_it="The hub gives it on request: ask for access on its page, and give your own token there.",
            num_bytes=0,
            licence="CC-BY-NC-4.0",
            reference=f"{paper}; rmaphoh/RETFound_MAE",
        )
    )


_add_mae(
    "mrm",
    "MRM ViT-B/16",
    "Learned from the films and reports of MIMIC-CXR, by filling in hidden patches and hidden words.",
    licence="MIT (its code); the weights state none",
    reference="Zhou et al. 2023, arXiv:2301.13155; RL4M/MRM-pytorch",
    get_it="Follow the link to MRM.pth in the readme of github.com/RL4M/MED-PEFT, and add the file.",
)
_add_mae(
    "cxr_mae",
    "CXR-MAE ViT-B/16",
    "Learned from the films of MIMIC-CXR without labels, by filling in hidden patches.",
    licence="none stated",
    reference="Lian et al. 2024, arXiv:2401.12215; RL4M/MED-PEFT",
    get_it="Follow the link to CXR_MAE.pth in the readme of github.com/RL4M/MED-PEFT, and add the file.",
)
KNOWN_WEIGHTS.add(
    KnownWeights(
        name="rad_dino",
        title="RAD-DINO ViT-B/14",
        description="Learned from more than 800,000 chest films without labels, by DINOv2, from Meta's weights.",
        backbone="vit_base_patch14_dinov2",
        layout="hf_dinov2",
        image_size=518,
        pool="token",
        normalisation="rad_dino",
        hub_id="microsoft/rad-dino",
        hub_file="model.safetensors",
        get_it="",
        num_bytes=346_000_000,
        licence="MIT; its authors ask for research use only",
        reference="Pérez-García et al. 2025, Nature Machine Intelligence 7, arXiv:2401.10815",
    )
)
_add_eva_x("tiny", "EVA-X-Ti/16", 900)
_add_eva_x("small", "EVA-X-S/16", 600)
_add_eva_x("base", "EVA-X-B/16", 600)
_add_retfound(
    "retfound_mae",
    "RETFound MAE ViT-L/16",
    "Learned from 900,000 photographs of the retina without labels, by filling in hidden patches.",
    backbone="vit_large_patch16_224.mae",
    layout="mae",
    pool="avg",
    hub_name="RETFound_mae_natureCFP",
    paper="Zhou et al. 2023, Nature 622",
)
_add_retfound(
    "retfound_dinov2",
    "RETFound DINOv2 ViT-L/14",
    "Learned from photographs of the retina (Moorfields Eye Hospital) without labels, by DINOv2.",
    backbone="vit_large_patch14_dinov2",
    layout="dinov2",
    pool="token",
    hub_name="RETFound_dinov2_meh",
    paper="Zhou et al. 2025, Research Square rs-6080254",
)
