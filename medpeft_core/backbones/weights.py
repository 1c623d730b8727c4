"""Base weights of the lab: stored under their hash, and checked when they come back. `layouts` reads foreign files."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn

from medpeft_core.backbones.hub_gate import find_gate_to_hub, is_hub_in_reach
from medpeft_core.backbones.weight_files import read_metadata
from medpeft_core.errors import BackboneError
from medpeft_core.paths import ensure_dir, write_atomically

CARD_KEY = "medpeft"  # in the metadata of a safetensors file
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def read_encoder_card(path: Path) -> dict[str, Any]:
    """What an encoder that the lab pre-trained says about itself: epoch, loss, data, `mean` and `std`.

    Returns:
        An empty dict for every other file.
    """
    if not path.is_file():
        return {}
    try:
        card = json.loads(read_metadata(path).get(CARD_KEY, "{}"))
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}


def load_weights_state(model: nn.Module, state: dict[str, torch.Tensor], *, name: str, source: str) -> None:
    """Load weights that `store_base` kept, strictly; a norm for pooling may begin anew where they have none.

    Raises:
        BackboneError: a tensor is missing, unexpected, or of another shape.
    """
    fresh = ("fc_norm.",) if not any(key.startswith("fc_norm.") for key in state) else ()
    _check_keys(model.state_dict(), state, allowed_missing=fresh, name=name, source=source)
    model.load_state_dict(state, strict=False)


def store_base(state: dict[str, torch.Tensor], folder: Path) -> str:
    """Write base weights as `<sha256>.safetensors` unless they are there, undamaged, already.

    Returns:
        The SHA-256 of the file.
    """
    content = safetensors.torch.save(state)
    digest = hashlib.sha256(content).hexdigest()
    path = ensure_dir(folder) / f"{digest}.safetensors"
    if not _is_kept(path, digest):
        write_atomically(path, lambda temporary: _write_bytes(temporary, content))
    return digest


def compute_base_sha256(state: dict[str, torch.Tensor]) -> str:
    """The hash under which `store_base` would keep these weights."""
    return hashlib.sha256(safetensors.torch.save(state)).hexdigest()


def load_base(sha256: str, folder: Path) -> dict[str, torch.Tensor]:
    """Base weights that `store_base` wrote, verified.

    Raises:
        BackboneError: the file is gone, or its content is no longer what the run was trained on.
    """
    path = folder / f"{sha256}.safetensors"
    if not path.is_file():
        raise BackboneError(
            f"The base weights {path.name} of this run are missing from {folder}. Without them its adapter is "
            "worthless: put the file back, or train again."
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BackboneError(
            f"The base weights {path} have changed since the run was trained on them (their SHA-256 differs). "
            "Put the original file back, or train again."
        )
    return dict(safetensors.torch.load(content))


def check_hub_is_reachable(name: str, download_dir: Path | None) -> None:
    """Fail at once, and not after minutes of retries, when pre-trained weights can neither be found nor fetched.

    Raises:
        BackboneError: timm has no weights for this name, or they are not here and the network is not either.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise BackboneError(
            f"timm has no pre-trained weights for {name!r}. Use --weights random, or the path of a file."
        )
    repository = config.hf_hub_id if "/" in config.hf_hub_id and not config.hf_hub_id.endswith("/") else f"timm/{name}"
    for file_name in HUB_FILES:
        if isinstance(try_to_load_from_cache(repository, file_name, cache_dir=download_dir), str):
            return
    if is_hub_in_reach():
        return
    raise BackboneError(
        f"The pre-trained weights of {name!r} are not on this machine and {find_gate_to_hub()[0]} cannot be reached. "
        "Connect to the internet once, give the path of a weights file, or use --weights random."
    )


def _check_keys(
    wanted: dict[str, torch.Tensor],
    state: dict[str, torch.Tensor],
    *,
    allowed_missing: tuple[str, ...],
    name: str,
    source: str,
) -> None:
    ending = (
        f"These are the weights of another model than {name!r}, or of another way of pooling. Give its own weights."
    )
    for key, tensor in wanted.items():
        if key in state and state[key].shape != tensor.shape:
            found, needed = tuple(state[key].shape), tuple(tensor.shape)
            raise BackboneError(
                f"{source}: the tensor {key!r} has the shape {found}, but {name!r} needs {needed}. {ending}"
            )
        if key not in state and not key.startswith(allowed_missing or ("\0",)):
            raise BackboneError(f"{source}: the tensor {key!r} is missing. {ending}")
    for key in state:
        if key not in wanted:
            raise BackboneError(f"{source}: the tensor {key!r} has no place in {name!r}. {ending}")


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _is_kept(path: Path, digest: str) -> bool:
    """Whether a base is there undamaged; if so it counts as used now, and the clean-up of the home leaves it alone."""
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
