"""Normalisation constants that models were trained with, by name: they are chosen, never guessed from a file's name."""

from dataclasses import dataclass

from medpeft_core.registry import Registry

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of pixels in 0 to 1, for each channel.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        mean, std: the constants.
        source: where they stand.
    """

    name: str
    title: str
    mean: Triple
    std: Triple
    source: str


NORMALISATIONS: Registry[Normalisation] = Registry("normalisation")


def _add(name: str, title: str, mean: float | Triple, std: float | Triple, source: str) -> None:
    means = mean if isinstance(mean, tuple) else (mean, mean, mean)
    stds = std if isinstance(std, tuple) else (std, std, std)
    NORMALISATIONS.add(Normalisation(name=name, title=title, mean=means, std=stds, source=source))


_add("imagenet", "ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "timm's default for most models")
_add("inception", "Half and half", 0.5, 0.5, "pixels from -1 to 1; timm's AugReg ViTs")
_add("mrm", "MRM", 0.4978, 0.2449, "Lian et al. 2024, their code for MRM")
_add("cxr_mae", "CXR-MAE", 0.4785, 0.2834, "Lian et al. 2024, their code for CXR-MAE")
_add("lab", "Chest films", 0.5, 0.25, "what the lab uses for random weights")
_add("rad_dino", "RAD-DINO", 0.5307, 0.2583, "microsoft/rad-dino, preprocessor_config.json")
_add("eva_x", "EVA-X", 0.49185243, 0.28509309, "hustvl/EVA-X, classification/utils/datasets.py")
