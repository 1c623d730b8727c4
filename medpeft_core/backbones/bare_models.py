"""timm models by name: which there are, what they must be given, and which sizes they can take. Heavy."""

import difflib
from typing import Any

import timm
import torch
from torch import nn

from medpeft_core.backbones import demo_model, eva_x_models  # noqa: F401  (timm learns their names)
from medpeft_core.backbones.anatomy import find_kind
from medpeft_core.backbones.spec import BACKBONES
from medpeft_core.errors import BackboneError

# chest films have means near .5 and deviations near .25 (Lian et al. 2024: .4978/.2449 and .4785/.2834)
RANDOM_MEAN = (0.5, 0.5, 0.5)
RANDOM_STD = (0.25, 0.25, 0.25)


def find_kind_of(name: str) -> str:
    """The kind of a backbone by its name; it is built without memory.

    Raises:
        BackboneError: timm does not know the name.
    """
    check_name(name)
    with torch.device("meta"):  # only the modules are of interest
        return find_kind(timm.create_model(name.partition(".")[0], num_classes=0))


def check_name(name: str) -> None:
    """Refuse a name that timm does not know, with the nearest ones.

    Raises:
        BackboneError: no such model, or no such tag of pre-trained weights.
    """
    if name in BACKBONES:
        return
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise BackboneError(
            f"There is no backbone {name!r} in timm {timm.__version__}.{hint} "
            "`python -m medpeft_core backbones` lists the described ones; any other timm name works too."
        )
    tags = [item.partition(".")[2] for item in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise BackboneError(
            f"The backbone {architecture!r} has no weights {tag!r}. Choose: {', '.join(tags) or 'none'}."
        )


def check_forward(model: nn.Module, name: str, image_size: int, *, channels: int = 3) -> None:
    """Run one blank image through the model, because only the model knows which sizes it can take.

    Raises:
        BackboneError: it cannot take this size.
    """
    patch = _patch_of(model)
    if patch and image_size % patch:
        raise build_size_error(model, name, image_size)  # the patch convolution would silently cut off the rest
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, channels, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise build_size_error(model, name, image_size) from error
    finally:
        model.train(was_training)


def find_options(name: str, image_size: int | None, pool: str | None, drop_path: float) -> dict[str, Any]:
    """What `timm.create_model` must be given for this size, pooling and stochastic depth.

    Raises:
        BackboneError: the backbone has no class token to pool from.
    """
    config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
    has_fixed_size = bool(config and config.fixed_input_size)
    options: dict[str, Any] = {}
    if image_size and has_fixed_size:
        options["img_size"] = image_size
    if drop_path:
        options["drop_path_rate"] = drop_path
    if pool is not None:
        probe_is_vit = find_kind_of(name) == "vit"
        if pool == "token" and not probe_is_vit:
            raise BackboneError(
                f"The backbone {name!r} has no class token to pool from (pool is 'token'). Use --pool avg."
            )
        if probe_is_vit:
            options["global_pool"] = pool
    return options


def find_own_size(name: str) -> int:
    """Side in pixels of the images that a backbone was made for."""
    config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
    return int(config.input_size[-1]) if config else 224


def build_size_error(model: nn.Module | None, name: str, image_size: int) -> BackboneError:
    """The error that says which sizes are possible."""
    multiple = _patch_of(model) or (BACKBONES[name].size_multiple if name in BACKBONES else 1)
    if multiple > 1 and image_size % multiple:
        below = max(image_size // multiple, 1) * multiple
        return BackboneError(
            f"The backbone {name!r} cannot take images of {image_size} pixels: the size must be a multiple of "
            f"{multiple}. Use --image-size {below} or {below + multiple}."
        )
    return BackboneError(
        f"The backbone {name!r} cannot take images of {image_size} pixels: too small or of a shape that its layers "
        f"cannot divide. Use its own size, --image-size {find_own_size(name)}, or a multiple of 32."
    )


def _patch_of(model: nn.Module | None) -> int:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    return int(patch[0]) if isinstance(patch, tuple) else 0
