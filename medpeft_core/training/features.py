"""Features of every image under a frozen backbone: computed once, without variation, and kept for other runs. Heavy.

One file `cache/features/<key>.safetensors` holds those of all splits of a data set. Its key is a hash of all that the
numbers depend on, down to the last bit: a run gives the same figures whether it computed its features or found them.
No label is read here.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import safetensors
import safetensors.torch
import timm
import torch

from medpeft_core.backbones.build import get_base_state
from medpeft_core.backbones.weights import compute_base_sha256
from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import TrainingError
from medpeft_core.paths import cache_dir, ensure_dir, write_atomically
from medpeft_core.training.build import BuiltModel, build_transform, place_model
from medpeft_core.training.cached_head import FeatureSource, read_features
from medpeft_core.training.control import Control
from medpeft_core.training.data import PixelSource
from medpeft_core.training.device import describe_device
from medpeft_core.training.evaluate import Stopped
from medpeft_core.training.opening import tell_count

FORMAT_VERSION = 1  # to be raised whenever the same settings would give other features
TENSOR = "features"
METADATA_KEY = "medpeft"
LOOK_EVERY_S = 0.5  # while another process computes the same


def open_features(config: RunConfig, built: BuiltModel, prepared: PreparedData, control: Control) -> FeatureSource:
    """The features of all images of a data set, on the run's device: from the disk, or computed now and kept.

    Two processes that want the same ones wait for each other. A damaged file is made anew.

    Args:
        config: complete.
        built: its model, before the first step; moved to the device and left in eval mode.
        prepared: its data.
        control: told of the progress, and asked to stop before each batch.

    Raises:
        Stopped: a stop was asked for; nothing is kept of features that are not whole.
        TrainingError: they cannot be written.
    """
    about = describe_features(config, built, pixels_sha256=prepared.pixels_sha256)
    path = find_path(about)
    num_images = len(prepared.cache_rows)
    features = load_features(path, about, num_images=num_images)
    if features is None:
        with _locked(path, control):
            features = load_features(path, about, num_images=num_images)  # of a process that was waited for
            if features is None:
                features = _compute(config, built, prepared, control)
                _keep(path, about, features)
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was used last, for people who want to free some space
    return FeatureSource(features.to(config.train.device), prepared.cache_rows)


def describe_features(config: RunConfig, built: BuiltModel, *, pixels_sha256: str) -> dict[str, Any]:
    """All that features depend on, for JSON. Kernels and the order of sums belong to it, hence machine and versions."""
    backbone, device = config.backbone, config.train.device
    return {
        "format_version": FORMAT_VERSION,
        "base_sha256": backbone.weights_sha256 or compute_base_sha256(get_base_state(built.backbone)),
        "backbone": backbone.name,
        "image_size": built.backbone.image_size,
        "pool": built.backbone.pool,
        "mean": list(backbone.mean or built.backbone.mean),
        "std": list(backbone.std or built.backbone.std),
        "interpolation": config.augment.interpolation,
        "pixels_sha256": pixels_sha256,
        "batch_size": config.evaluation.batch_size,
        "dtype": "float32",
        "device": torch.device(device).type,
        "device_name": describe_device(device),
        "num_threads": (config.train.cpu_threads or torch.get_num_threads()) if device == "cpu" else None,
        "timm": timm.__version__,
        "torch": torch.__version__,
    }


def find_path(about: dict[str, Any]) -> Path:
    """Where the features that `about` describes lie, or will."""
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / "features" / f"{key}.safetensors"


def load_features(path: Path, about: dict[str, Any], *, num_images: int) -> torch.Tensor | None:
    """Features (N, D) float32 on the CPU; None where there are none that are whole and of this description."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})[METADATA_KEY])
            features = file.get_tensor(TENSOR)
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None
    is_right = note == {**about, "sha256": _compute_sha256(features)}
    is_right = is_right and features.ndim == 2 and len(features) == num_images and features.dtype == torch.float32
    return features if is_right else None


def _compute(config: RunConfig, built: BuiltModel, prepared: PreparedData, control: Control) -> torch.Tensor:
    device, batch_size = config.train.device, config.evaluation.batch_size
    place_model(built, device=device)
    network = built.adapted.network.eval()
    head = network.get_submodule(built.backbone.head)
    transform = build_transform(config, built.backbone, device=device)
    source, rows = PixelSource(prepared.cache, device), prepared.cache_rows
    parts, began = [], time.monotonic()
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            if control.should_stop():
                raise Stopped
            phase = f"computing features, {start} of {len(rows)} images"
            tell_count(control, phase, start / len(rows), began)
            images = transform.plain(*source.batch(rows[start : start + batch_size]))
            parts.append(read_features(network, head, images).cpu())
    features = torch.cat(parts)
    if not bool(torch.isfinite(features).all()):
        raise TrainingError(
            f"The backbone {config.backbone.name!r} gives features that are no finite numbers. Choose other weights."
        )
    return features.clone()  # outside inference mode, so that the head can be trained on them


def _keep(path: Path, about: dict[str, Any], features: torch.Tensor) -> None:
    note = {METADATA_KEY: json.dumps({**about, "sha256": _compute_sha256(features)})}
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)  # of a process that was killed: under the lock nobody writes there
    try:
        write_atomically(path, lambda temporary: safetensors.torch.save_file({TENSOR: features}, temporary, note))
    except (OSError, safetensors.SafetensorError) as error:  # the latter wraps what its own code meets on the disk
        raise _cannot_write(path, error, num_bytes=features.nbytes) from error


@contextlib.contextmanager
def _locked(path: Path, control: Control) -> Iterator[None]:
    try:
        lock = filelock.FileLock(ensure_dir(path.parent) / f"{path.stem}.lock")
        while True:
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=LOOK_EVERY_S)
                break
            if control.should_stop():
                raise Stopped
            control.set_progress(phase="waiting for another run that computes these features")
    except OSError as error:
        raise _cannot_write(path, error, num_bytes=None) from error
    try:
        yield
    finally:
        lock.release()


def _cannot_write(path: Path, error: Exception, *, num_bytes: int | None) -> TrainingError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    needed = "" if num_bytes is None else f" They take {num_bytes / 1e6:.1f} MB."
    return TrainingError(
        f"The features cannot be kept in {path.parent}: {reason}.{needed} Make space, or train without "
        "train.cached_features."
    )


def _compute_sha256(features: torch.Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
