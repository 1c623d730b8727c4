"""A config and the specs become a complete RunConfig. Light; what needs the model is in training/check.py."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.layouts import LAYOUTS
from medpeft_core.config import AugmentConfig, DataConfig, MethodConfig, RunConfig, section_names
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import BackboneError, ConfigError
from medpeft_core.methods import METHODS
from medpeft_core.methods.not_offered import check_offered
from medpeft_core.sections import build_part

OPEN_TABLES = {"data": "options", "method": "knobs"}
AUTO_LAYOUT = "auto"
CACHEABLE_METHOD = "linear"  # the one that leaves the whole backbone as it is
SGD_LR_FACTOR = 10.0  # the papers' SGD rates lie about ten times above their AdamW rates (Lian et al. 2024)


def resolve_config(config: RunConfig) -> RunConfig:
    """Fill in every default that the specs decide and check every field that needs no model.

    Raises:
        MedPeftError: an unknown name, a knob or option out of range, or a method that does not fit the backbone.
    """
    check_offered(config.method.name)
    method = METHODS[config.method.name]
    knobs = build_part(method.knobs, config.method.knobs, section="method")
    lr = config.optim.lr if config.optim.lr is not None else _default_lr(config)
    _check_fit(config)
    check_layout(config.backbone.layout)
    if config.backbone.name in BACKBONES and config.backbone.image_size is not None:
        check_size_multiple(config.backbone.name, config.backbone.image_size)
    complete = replace(
        config,
        data=resolve_data(config.data),
        method=MethodConfig(name=method.name, knobs=to_plain(knobs)),
        optim=replace(config.optim, lr=lr),
    )
    return _settle_cached_features(complete) if config.train.cached_features else complete


def resolve_data(data: DataConfig) -> DataConfig:
    """The data section with the reader's options complete.

    Raises:
        MedPeftError: an unknown data set or option.
    """
    spec = DATASETS[data.dataset]
    options = build_part(spec.options, data.options, section="data")
    root = str(Path(data.root).expanduser().resolve()) if data.root else None  # a worker may stand in another folder
    return replace(data, dataset=spec.name, root=root, options=to_plain(options))


def apply_settings(
    values: dict[str, Any], settings: list[str], *, sections: Sequence[str] | None = None
) -> dict[str, Any]:
    """Put `section.key=value` texts into a config's plain dict.

    A key of `data` or `method` that is no field of that section is an option of the reader or a knob of the method.

    Args:
        values: the dict, which is changed.
        settings: the texts; a later one wins.
        sections: of the config; None for those of a `RunConfig`.

    Raises:
        ConfigError: not of that form, or an unknown section.
    """
    known = {"data": _field_names(DataConfig), "method": _field_names(MethodConfig)}
    allowed = section_names() if sections is None else sections
    for item in settings:
        name, equals, value = item.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and key):
            raise ConfigError(
                f"--set {item} is not understood. Write --set section.key=value, for example train.epochs=5."
            )
        if section not in allowed:
            raise ConfigError(f"There is no config section {section!r}. Choose: {', '.join(allowed)}.")
        table = values.setdefault(section, {})
        if section in OPEN_TABLES and key not in known[section]:
            table = table.setdefault(OPEN_TABLES[section], {})
        table[key] = value.strip()
    return values


def to_plain(part: Any) -> dict[str, Any]:
    """A dataclass of plain fields as a dict, in the order of its fields."""
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def _field_names(part: type[Any]) -> set[str]:
    return {item.name for item in fields(part)}


def _default_lr(config: RunConfig) -> float:
    lr = METHODS[config.method.name].default_lr
    return lr * SGD_LR_FACTOR if config.optim.optimizer == "sgd" else lr


def _settle_cached_features(config: RunConfig) -> RunConfig:
    """The settings that have no effect on features which are computed once, as they act: turned off.

    Raises:
        ConfigError: the method changes the features as it trains.
    """
    if config.method.name != CACHEABLE_METHOD:
        raise ConfigError(
            f"train.cached_features is true, but the method {config.method.name!r} changes the backbone, and with it "
            f"the features of every image, at each step. Use --method {CACHEABLE_METHOD}, or turn "
            "train.cached_features off."
        )
    still = AugmentConfig(
        crop_scale_min=1.0,
        crop_ratio_max=1.0,
        flip=0.0,
        rotation_deg=0.0,
        brightness=0.0,
        contrast=0.0,
        erasing=0.0,
        rand_augment=0,
        interpolation=config.augment.interpolation,
    )
    return replace(
        config,
        backbone=replace(config.backbone, drop_path=0.0),
        train=replace(config.train, precision="fp32", compile=False),
        augment=still,
    )


def _check_fit(config: RunConfig) -> None:
    if config.backbone.name not in BACKBONES:
        return
    spec = BACKBONES[config.backbone.name]
    METHODS[config.method.name].check_fit(spec.name, spec.kind, spec.traits)


def check_layout(name: str) -> None:
    """Refuse a layout that there is not, with the names of those that there are.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name != AUTO_LAYOUT:
        LAYOUTS[name]


def check_size_multiple(name: str, image_size: int) -> None:
    """Refuse an image size that the patches or strides of a curated backbone do not divide.

    Raises:
        BackboneError: names the nearest sizes that do.
    """
    multiple = BACKBONES[name].size_multiple
    if image_size % multiple:
        below = image_size // multiple * multiple
        raise BackboneError(
            f"The backbone {name!r} cannot take images of {image_size} pixels: the size must be a multiple of "
            f"{multiple}. Use --image-size {below or multiple} or {below + multiple}."
        )
