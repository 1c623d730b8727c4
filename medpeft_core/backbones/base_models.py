"""timm models without a head that carry the weights that were asked for. Heavy."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from medpeft_core.backbones.bare_models import RANDOM_MEAN, RANDOM_STD, build_size_error
from medpeft_core.backbones.demo import find_demo_weights
from medpeft_core.backbones.layouts.fitting import AUTO
from medpeft_core.backbones.layouts.loading import load_weights_file
from medpeft_core.backbones.layouts.positions import ANTIALIAS
from medpeft_core.backbones.shelf import SHELF_PREFIX, ShelfEntry, check_shelf_file, find_on_shelf, shelf_file
from medpeft_core.backbones.weights import check_hub_is_reachable, load_weights_state, read_encoder_card
from medpeft_core.errors import BackboneError
from medpeft_core.paths import get_home

NOT_A_FILE = ("random", "demo", "pretrained")
Triple = tuple[float, float, float]


def create_bare_model(
    name: str,
    options: dict[str, Any],
    *,
    weights: str,
    base_state: dict[str, torch.Tensor] | None,
    download_dir: Path | None,
    channels: int = 3,
    layout: str = AUTO,
    positions: str = ANTIALIAS,
) -> nn.Module:
    """A model without head that carries its base weights.

    Args:
        options: as `find_options` gives them.
        weights: "random", "demo", "pretrained", "shelf:NAME" or a file.
        base_state: loaded in place of `weights`, strictly.
        channels: of the images: 3, or 1 for grey ones.
        layout, positions: how a file's tensors are named, and brought to another size.

    Raises:
        BackboneError: the model cannot be built so, or these are not its weights.
    """
    wants_download = weights == "pretrained" and base_state is None
    if wants_download:
        check_hub_is_reachable(name, download_dir)
    model = _create(name, {**options, "pretrained": wants_download, "cache_dir": download_dir, "in_chans": channels})
    if base_state is not None:
        load_weights_state(model, base_state, name=name, source="the stored base weights")
    elif weights == "random":
        wake_residual_branches(model)
    elif weights != "pretrained":
        layout = layout if weights not in NOT_A_FILE and not weights.startswith(SHELF_PREFIX) else AUTO
        load_weights_file(model, find_weights_path(weights, name), name=name, layout=layout, positions=positions)
    return model


def find_weights_path(weights: str, name: str) -> Path:
    """The file behind "demo", "shelf:NAME" or a path.

    Raises:
        BackboneError: the lab has no such weights, they are those of another backbone, or their file has changed.
    """
    if weights == "demo":
        return find_demo_weights(name)
    if weights.startswith(SHELF_PREFIX):
        entry = _find_entry(weights, name)
        check_shelf_file(get_home(), entry)
        return shelf_file(get_home(), entry.name)
    return Path(weights)


def _find_entry(weights: str, name: str) -> ShelfEntry:
    """What the shelf knows of these weights; their model must be this one, whatever its tag."""
    entry = find_on_shelf(get_home(), weights.removeprefix(SHELF_PREFIX))
    if entry.backbone.partition(".")[0] != name.partition(".")[0]:
        raise BackboneError(
            f"The weights {entry.name!r} on the shelf are those of {entry.backbone!r}, and not of {name!r}. Use "
            f"--backbone {entry.backbone}, or other weights."
        )
    return entry


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, num_classes=0, **options)
    except OSError as error:  # what the hub's client raises when a download breaks off
        raise BackboneError(
            f"The pre-trained weights of {name!r} could not be downloaded: {error}. Try again, give the path of a "
            "weights file, or use --weights random."
        ) from error
    except TypeError as error:
        raise BackboneError(f"The backbone {name!r} cannot be built with {options}: {error}.") from error
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        if "img_size" in options:
            raise build_size_error(None, name, options["img_size"]) from error
        raise BackboneError(f"The backbone {name!r} could not be built: {error}.") from error


def find_normalisation(
    model: nn.Module, weights: str, *, name: str, channels: int = 3, is_stored: bool = False
) -> tuple[Triple, Triple]:
    """Mean and spread of pixels in 0 to 1 that images must be normalised with for these weights.

    Grey images have one mean and one spread, which stand there three times. A run whose base is stored (`is_stored`)
    has its constants in its config, and no longer needs the shelf.

    Raises:
        BackboneError: weights of the shelf that are not there, or of another backbone.
    """
    if weights in ("random", "demo"):
        return RANDOM_MEAN, RANDOM_STD
    config = dict(getattr(model, "pretrained_cfg", {}))
    if weights.startswith(SHELF_PREFIX):
        entry = None if is_stored else _find_entry(weights, name)
        config |= {} if entry is None else {key: value for key, value in _say_constants(entry).items() if value}
    elif weights != "pretrained":
        config |= read_encoder_card(Path(weights))
    mean, std = config.get("mean", RANDOM_MEAN), config.get("std", RANDOM_STD)
    if channels == 1:
        mean, std = (sum(mean) / len(mean),) * 3, (sum(std) / len(std),) * 3
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def _say_constants(entry: ShelfEntry) -> dict[str, Triple | None]:
    return {"mean": entry.mean, "std": entry.std}


def wake_residual_branches(model: nn.Module) -> None:
    """Give BatchNorm layers that start at zero a weight of one.

    timm closes the residual branches of a new ResNet in this way, for full training to open. Under a frozen backbone
    they would stay closed: nothing to probe, and no gradient for an adapter inside.
    """
    for module in model.modules():
        weight = module.weight if isinstance(module, nn.modules.batchnorm._BatchNorm) else None
        if isinstance(weight, torch.Tensor) and not weight.is_meta and not bool(weight.any()):
            nn.init.ones_(weight)
