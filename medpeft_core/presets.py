"""Presets: three ways to fill in how long and how thoroughly a run trains, for people who do not want to choose. Light.

A preset leaves alone what the question is about: data set, label fraction, backbone, weights, method and its knobs,
learning rate, seed. All presets set the same fields, so that choosing another one leaves nothing of the first behind.
"""

import copy
from dataclasses import dataclass
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings that go together.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        description: what choosing it means, in one sentence.
        settings: section of a RunConfig to its fields and their values.
    """

    name: str
    title: str
    description: str
    settings: dict[str, dict[str, Any]]


_LAB_AUGMENTATION = {
    "crop_scale_min": 0.6,
    "crop_ratio_max": 1.15,
    "flip": 0.5,
    "rotation_deg": 7.0,
    "brightness": 0.1,
    "contrast": 0.2,
    "erasing": 0.0,
    "rand_augment": 0,
    "interpolation": "bilinear",
}
# Crops down to 8 % of the area, as in the paper, would cost small findings their label at a cache of 256 pixels.
_PAPER_AUGMENTATION = {
    **_LAB_AUGMENTATION,
    "crop_scale_min": 0.3,
    "crop_ratio_max": 4 / 3,
    "rotation_deg": 0.0,  # RandAugment rotates, and changes brightness and contrast
    "brightness": 0.0,
    "contrast": 0.0,
    "erasing": 0.25,
    "rand_augment": 2,
    "interpolation": "bicubic",
}

_QUICK = Preset(
    name="quick",
    title="Quick look",
    description="Three epochs on small images: minutes on a laptop with a small backbone, to see that everything works "
    "and not yet to compare methods.",
    settings={
        "backbone": {"image_size": 112},  # 7 x 16, 8 x 14: every curated backbone takes it
        "optim": {"warmup_epochs": 0.5},
        "train": {"epochs": 3, "batch_size": 32, "eval_every": 0, "patience": 0},
        "augment": {**_LAB_AUGMENTATION, "crop_scale_min": 0.8, "rotation_deg": 0.0},
        "evaluation": {"bootstrap_samples": 200},
    },
)
_BALANCED = Preset(
    name="balanced",
    title="Balanced",
    description="Up to 20 epochs at 224 pixels with mild variation of the images, ended when val AUROC has not risen "
    "for 5 evaluations: about an hour on a laptop with a small backbone.",
    settings={
        "backbone": {"image_size": 224},
        "optim": {"warmup_epochs": 1.0},
        "train": {"epochs": 20, "batch_size": 32, "eval_every": 0, "patience": 5},
        "augment": dict(_LAB_AUGMENTATION),
        "evaluation": {"bootstrap_samples": 1000},
    },
)
_THOROUGH = Preset(
    name="thorough",
    title="Thorough",
    description="Up to 100 epochs in batches of 64 with strong variation of the images, close to Lian et al. 2024, "
    "ended when val AUROC has not risen for 20 evaluations: hours on a laptop, better on a GPU.",
    settings={
        "backbone": {"image_size": 224},
        "optim": {"warmup_epochs": 5.0},
        "train": {"epochs": 100, "batch_size": 64, "eval_every": 0, "patience": 20},
        "augment": dict(_PAPER_AUGMENTATION),
        "evaluation": {"bootstrap_samples": 2000},
    },
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (_QUICK, _BALANCED, _THOROUGH)}


def apply_preset(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A new config dict with the preset's settings in place of those that `values` has.

    Args:
        values: `RunConfig.to_dict()` or a part of it; stays as it is.
        name: one of `PRESETS`.

    Raises:
        UnknownNameError: there is no such preset.
    """
    changed = copy.deepcopy(values)
    for section, settings in find_settings(name, values.get("backbone", {}).get("name")).items():
        changed[section] = {**changed.get(section, {}), **settings}
    return changed


def find_settings(name: str, backbone: str | None) -> dict[str, dict[str, Any]]:
    """Section to fields and their values; a backbone that was made for smaller images than the preset's keeps its size.

    Raises:
        UnknownNameError: there is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"There is no preset {name!r}. Choose: {', '.join(PRESETS)}.")
    settings = copy.deepcopy(PRESETS[name].settings)
    if backbone is not None and backbone in BACKBONES:
        settings["backbone"]["image_size"] = min(settings["backbone"]["image_size"], BACKBONES[backbone].image_size)
    return settings
