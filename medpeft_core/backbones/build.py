"""Builds a timm model for a task, with a fresh head, and checks that it can take the image size. Heavy."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from medpeft_core.backbones import demo_model  # noqa: F401  (timm learns the name demo_vit)
from medpeft_core.backbones.anatomy import Backbone, find_cam_layer, find_fresh, find_head, find_kind
from medpeft_core.backbones.demo import find_demo_weights
from medpeft_core.backbones.spec import BACKBONES
from medpeft_core.backbones.weights import (
    check_hub_is_reachable,
    load_weights_file,
    load_weights_state,
    read_encoder_card,
)
from medpeft_core.errors import BackboneError

# chest films have means near .5 and deviations near .25 (Lian et al. 2024: .4978/.2449 and .4785/.2834)
RANDOM_MEAN = (0.5, 0.5, 0.5)
RANDOM_STD = (0.25, 0.25, 0.25)
NOT_A_FILE = ("random", "demo", "pretrained")


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A plain ViT without a head, for pre-training.

    Attributes:
        name: timm name.
        model: gives tokens (B, P + N, D) after its last norm.
        image_size: side of the square input in pixels.
        mean, std: normalisation constants for pixels in 0 to 1.
    """

    name: str
    model: nn.Module
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(
    name: str,
    *,
    num_classes: int,
    image_size: int | None = None,
    pool: str | None = None,
    weights: str = "random",
    base_state: dict[str, torch.Tensor] | None = None,
    drop_path: float = 0.0,
    head_init_std: float = 0.02,
    seed: int = 0,
    download_dir: Path | None = None,
) -> Backbone:
    """A timm model with base weights and a new head for `num_classes` outputs, on the CPU, checked by one forward pass.

    The base depends on the name, size, pooling, weights and seed only, never on the number of classes.

    Args:
        name: timm name, with or without a tag.
        image_size: side of the square input in pixels; None is the model's own.
        pool: "token", "avg" or None for the model's own.
        weights: "random", "pretrained" or a file; ignored when `base_state` is given.
        base_state: tensors of an earlier `get_base_state`, loaded strictly.
        seed: decides random base weights and the head.
        download_dir: where pre-trained weights are kept.

    Raises:
        BackboneError: unknown name, a size or pooling that the model cannot do, weights of another model, no network.
    """
    check_name(name)
    options = _find_options(name, image_size, pool, drop_path)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = _create_with_weights(name, options, weights=weights, base_state=base_state, download_dir=download_dir)
        reset_classifier: Callable[[int], None] = model.reset_classifier  # type: ignore[assignment]
        reset_classifier(num_classes)
        head = find_head(model)
        _init_head(model.get_submodule(head), head_init_std)
    finally:
        torch.set_rng_state(generator_state)  # building must not move the caller's random numbers
    kind = find_kind(model)
    mean, std = _find_normalisation(model, weights)
    size = image_size or _own_size(name)
    check_forward(model, name, size)
    return Backbone(
        name=name,
        kind=kind,
        model=model,
        head=head,
        fresh=find_fresh(model),
        image_size=size,
        pool=_pool_of(model, kind),
        num_prefix_tokens=int(getattr(model, "num_prefix_tokens", 0) or 0) if kind == "vit" else 0,
        cam_layer=find_cam_layer(model, kind),
        mean=mean,
        std=std,
    )


def build_encoder(
    name: str,
    *,
    image_size: int | None = None,
    weights: str = "random",
    base_state: dict[str, torch.Tensor] | None = None,
    seed: int = 0,
    download_dir: Path | None = None,
) -> Encoder:
    """A plain ViT without head and with its last norm, on the CPU, checked by one forward pass.

    Args:
        name: timm name of a plain ViT; `find_kind_of` tells.
        image_size, weights, base_state, seed, download_dir: as for `build_backbone`.

    Raises:
        BackboneError: as `build_backbone`.
    """
    check_name(name)
    options = {**_find_options(name, image_size, None, 0.0), "global_pool": ""}  # else timm moves the norm to the head
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        model = _create_with_weights(name, options, weights=weights, base_state=base_state, download_dir=download_dir)
    finally:
        torch.set_rng_state(generator_state)
    mean, std = _find_normalisation(model, weights)
    size = image_size or _own_size(name)
    check_forward(model, name, size)
    return Encoder(name=name, model=model, image_size=size, mean=mean, std=std)


def find_kind_of(name: str) -> str:
    """The kind of a backbone by its name; it is built without memory.

    Raises:
        BackboneError: timm does not know the name.
    """
    check_name(name)
    with torch.device("meta"):  # only the modules are of interest
        return find_kind(timm.create_model(name.partition(".")[0], num_classes=0))


def get_base_state(backbone: Backbone) -> dict[str, torch.Tensor]:
    """All tensors but the head's, copied: what an adapter is worthless without.

    `fc_norm` is among them, since a weights file may have brought its own.
    """
    head = f"{backbone.head}."
    state = backbone.model.state_dict()
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items() if not name.startswith(head)}


def wake_residual_branches(model: nn.Module) -> None:
    """Give BatchNorm layers that start at zero a weight of one.

    timm closes the residual branches of a new ResNet in this way, for full training to open. Under a frozen backbone
    they would stay closed: nothing to probe, and no gradient for an adapter inside.
    """
    for module in model.modules():
        weight = module.weight if isinstance(module, nn.modules.batchnorm._BatchNorm) else None
        if isinstance(weight, torch.Tensor) and not weight.is_meta and not bool(weight.any()):
            nn.init.ones_(weight)


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


def check_forward(model: nn.Module, name: str, image_size: int) -> None:
    """Run one blank image through the model, because only the model knows which sizes it can take.

    Raises:
        BackboneError: it cannot take this size.
    """
    patch = _patch_of(model)
    if patch and image_size % patch:
        raise _size_error(model, name, image_size)  # the patch convolution would silently cut off the rest
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _size_error(model, name, image_size) from error
    finally:
        model.train(was_training)


def _create_with_weights(
    name: str,
    options: dict[str, Any],
    *,
    weights: str,
    base_state: dict[str, torch.Tensor] | None,
    download_dir: Path | None,
) -> nn.Module:
    """A model without head that carries its base weights."""
    wants_download = weights == "pretrained" and base_state is None
    if wants_download:
        check_hub_is_reachable(name, download_dir)
    model = _create(name, {**options, "pretrained": wants_download, "cache_dir": download_dir})
    if base_state is not None:
        load_weights_state(model, base_state, name=name, source="the stored base weights")
    elif weights == "random":
        wake_residual_branches(model)
    elif weights not in NOT_A_FILE:
        load_weights_file(model, Path(weights), name=name)
    elif weights == "demo":
        load_weights_file(model, find_demo_weights(name), name=name)
    return model


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, num_classes=0, in_chans=3, **options)
    except OSError as error:  # what the hub's client raises when a download breaks off
        raise BackboneError(
            f"The pre-trained weights of {name!r} could not be downloaded: {error}. Try again, give the path of a "
            "weights file, or use --weights random."
        ) from error
    except TypeError as error:
        raise BackboneError(f"The backbone {name!r} cannot be built with {options}: {error}.") from error
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        if "img_size" in options:
            raise _size_error(None, name, options["img_size"]) from error
        raise BackboneError(f"The backbone {name!r} could not be built: {error}.") from error


def _find_options(name: str, image_size: int | None, pool: str | None, drop_path: float) -> dict[str, Any]:
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


def _own_size(name: str) -> int:
    config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
    return int(config.input_size[-1]) if config else 224


def _pool_of(model: nn.Module, kind: str) -> str:
    own = getattr(model, "global_pool", "avg") if kind == "vit" else "avg"
    if own not in ("token", "avg"):
        raise BackboneError(f"This backbone pools by {own!r}; the lab can do token or avg. Add --pool avg.")
    return str(own)


def _find_normalisation(
    model: nn.Module, weights: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    if weights in ("random", "demo"):
        return RANDOM_MEAN, RANDOM_STD
    config = getattr(model, "pretrained_cfg", {})
    if weights not in NOT_A_FILE:
        config = {**config, **read_encoder_card(Path(weights))}
    mean, std = config.get("mean", RANDOM_MEAN), config.get("std", RANDOM_STD)
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def _init_head(head: nn.Module, std: float) -> None:
    assert isinstance(head, nn.Linear)
    nn.init.trunc_normal_(head.weight, std=std)
    if head.bias is not None:
        nn.init.zeros_(head.bias)


def _patch_of(model: nn.Module | None) -> int:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    return int(patch[0]) if isinstance(patch, tuple) else 0


def _size_error(model: nn.Module | None, name: str, image_size: int) -> BackboneError:
    multiple = _patch_of(model) or (BACKBONES[name].size_multiple if name in BACKBONES else 1)
    if multiple > 1 and image_size % multiple:
        below = max(image_size // multiple, 1) * multiple
        return BackboneError(
            f"The backbone {name!r} cannot take images of {image_size} pixels: the size must be a multiple of "
            f"{multiple}. Use --image-size {below} or {below + multiple}."
        )
    return BackboneError(
        f"The backbone {name!r} cannot take images of {image_size} pixels: too small or of a shape that its layers "
        f"cannot divide. Use its own size, --image-size {_own_size(name)}, or a multiple of 32."
    )
