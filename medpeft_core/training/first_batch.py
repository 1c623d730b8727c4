"""The first training batch as pictures: exactly what the loop will show the model, so that people see it before."""

import hashlib
import json
import secrets
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.paths import cache_dir, ensure_dir, read_json, rename, write_json
from medpeft_core.training.augment import COLOURS, BatchTransform, build_constants
from medpeft_core.training.data import PixelSource, SplitData, batch_seed, epoch_order, split_data

FORMAT_VERSION = 1  # to be raised whenever the same settings would give other pictures
INDEX_FILE = "batch.json"
MAX_KEPT = 50


def draw_first_batch(config: RunConfig, prepared: PreparedData, *, max_images: int = 8) -> dict[str, Any]:
    """The first images of epoch 1, batch 1 as PNG files; those of an earlier call are used again.

    Args:
        config: complete: image size and normalisation are resolved.
        prepared: its data.
        max_images: how many of the batch to draw.

    Returns:
        {"images": [{"path": PNG file, "image": name in the manifest, "labels": positive labels}], "image_size"}.
    """
    folder = cache_dir() / "first_batches" / _build_key(config, prepared, max_images)
    if not (folder / INDEX_FILE).is_file():
        _write_batch(folder, config, prepared, max_images)
        _drop_oldest(folder.parent)
    folder.touch()
    images = [{**item, "path": str(folder / item["path"])} for item in read_json(folder / INDEX_FILE)]
    return {"images": images, "image_size": config.backbone.image_size}


def build_first_batch(config: RunConfig, prepared: PreparedData) -> tuple[torch.Tensor, SplitData]:
    """What the training loop feeds into the model first.

    Returns:
        Images (B, C, S, S), normalised, and what the training split holds about them, in the same order.
    """
    backbone, train = config.backbone, config.train
    assert backbone.image_size is not None
    assert backbone.mean is not None
    assert backbone.std is not None
    whole = split_data(prepared, config.data)["train"]
    data = whole.select(epoch_order(len(whole), seed=train.seed, epoch=1)[: train.batch_size])
    transform = BatchTransform(
        config.augment,
        image_size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
        device="cpu",
        channels=backbone.channels,
    )
    pixels, sizes = PixelSource(prepared.cache, "cpu").batch(data.cache_rows)
    if train.cached_features:
        return transform.plain(pixels, sizes), data
    seed = batch_seed(train.seed, 1, 0)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)  # RandAugment draws from the global generator, as it does in training
    try:
        images = transform.varied(pixels, sizes, torch.Generator().manual_seed(seed))
    finally:
        torch.set_rng_state(generator_state)
    return images, data


def to_pixels(images: torch.Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Normalised images (B, C, S, S) as uint8 (B, S, S, 3) for people; noise of erasing is cut to the visible range."""
    channels = images.shape[1]
    visible = images * build_constants(std, channels) + build_constants(mean, channels)
    pixels = visible.clamp(0, 1).mul(255).round().to(torch.uint8).expand(-1, COLOURS, -1, -1)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def _build_key(config: RunConfig, prepared: PreparedData, max_images: int) -> str:
    """A hash of all that decides the pictures."""
    backbone, data, train = config.backbone, config.data, config.train
    values = (
        (FORMAT_VERSION, max_images, prepared.fingerprint, prepared.pixels_sha256, data.cache_size),
        (data.fraction, data.fraction_seed, train.seed, train.batch_size, asdict(config.augment)),
        (backbone.image_size, backbone.mean, backbone.std, backbone.channels),
    )
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def _write_batch(folder: Path, config: RunConfig, prepared: PreparedData, max_images: int) -> None:
    images, data = build_first_batch(config, prepared)
    shown = data.manifest.select(np.arange(min(max_images, len(data))))
    assert config.backbone.mean is not None
    assert config.backbone.std is not None
    pixels = to_pixels(images[:max_images], mean=config.backbone.mean, std=config.backbone.std)
    fresh = ensure_dir(folder.parent) / f".new-{secrets.token_hex(8)}"
    fresh.mkdir()
    try:
        index = []
        for number, (name, targets) in enumerate(zip(shown.table["image"], shown.targets(), strict=True)):
            Image.fromarray(pixels[number]).save(fresh / f"{number:02d}.png")
            labels = [label for label, target in zip(shown.labels, targets, strict=True) if target == 1]
            index.append({"path": f"{number:02d}.png", "image": name, "labels": labels})
        write_json(fresh / INDEX_FILE, index)
        shutil.rmtree(folder, ignore_errors=True)  # one that lost its index
        try:
            rename(fresh, folder)
        except OSError:
            if not (folder / INDEX_FILE).is_file():  # else another process has just drawn the same
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _drop_oldest(parent: Path) -> None:
    for folder in sorted(parent.iterdir(), key=_find_age, reverse=True)[MAX_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _find_age(path: Path) -> int:
    """When it was used last; 0 for what another process has just removed."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
