"""The small ViT that ships with the lab, pre-trained on synthetic radiographs. Light; timm meets it in demo_model."""

from pathlib import Path

from medpeft_core.backbones.spec import BACKBONES, BackboneSpec
from medpeft_core.errors import BackboneError
from medpeft_core.traits import PLAIN_VIT

DEMO_BACKBONE = "demo_vit"
IMAGE_SIZE, PATCH_SIZE, WIDTH, DEPTH, HEADS = 96, 8, 192, 6, 3
ASSETS = Path(__file__).resolve().parents[2] / "assets" / "weights"


def find_demo_weights(name: str) -> Path:
    """The file of the weights that ship with the lab.

    Raises:
        BackboneError: they are for another backbone, or this copy of the lab lacks the file.
    """
    if name != DEMO_BACKBONE:
        raise BackboneError(
            f"The demo weights are those of {DEMO_BACKBONE!r}; there are none for {name!r}. Use --backbone "
            f"{DEMO_BACKBONE}, or --weights random, pretrained, or the path of a file."
        )
    path = ASSETS / f"{DEMO_BACKBONE}.safetensors"
    if not path.is_file():
        raise BackboneError(
            f"The demo weights {path} are missing from this copy of the lab. Get them from its repository, or use "
            "--weights random."
        )
    return path


BACKBONES.add(
    BackboneSpec(
        name=DEMO_BACKBONE,
        title="Demo ViT/8",
        description=(
            "Tiny ViT that ships with weights (--weights demo): learned by masked autoencoding on synthetic "
            "radiographs only. Works offline on a laptop; made for demonstrations, not for real films."
        ),
        kind="vit",
        traits=PLAIN_VIT[1],
        num_params=2_734_656,
        image_size=IMAGE_SIZE,
        size_multiple=PATCH_SIZE,
        pools=("avg", "token"),
        pretrained="synthetic radiographs without labels, by masked autoencoding; the weights ship with the lab",
        licence="Apache-2.0",
        reference="He et al. 2022, arXiv:2111.06377",
    )
)
