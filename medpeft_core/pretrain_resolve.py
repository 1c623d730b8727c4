"""A PretrainConfig with everything that the specs decide; what needs the model is in pretraining/build.py. Light."""

from dataclasses import replace

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.errors import BackboneError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.resolve import check_layout, check_size_multiple, resolve_data


def resolve_pretraining(config: PretrainConfig) -> PretrainConfig:
    """Fill in what the specs decide, and check every field that needs no model.

    Raises:
        MedPeftError: an unknown data set or option, a backbone that is no plain ViT, or a size that its patches do not
            divide.
    """
    check_layout(config.encoder.layout)
    name, image_size = config.encoder.name, config.encoder.image_size
    if name in BACKBONES:
        if BACKBONES[name].kind != "vit":
            raise build_unfit_error(name, BACKBONES[name].kind)
        if image_size is not None:
            check_size_multiple(name, image_size)
    return replace(config, data=resolve_data(config.data))


def build_unfit_error(name: str, kind: str) -> BackboneError:
    """The error of a backbone that masked autoencoding cannot train."""
    plain = ", ".join(item for item in BACKBONES.names() if BACKBONES[item].kind == "vit")
    return BackboneError(
        f"Masked autoencoding needs a plain ViT, whose encoder can leave patches out; {name!r} is of kind "
        f"{KIND_TITLES.get(kind, kind)}. Choose one of: {plain}."
    )
