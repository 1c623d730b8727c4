"""Prepared data as the training loop wants it: rows of each split, targets on the device, pixels by index."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from medpeft_core.config import DataConfig
from medpeft_core.datasets.fractions import select_fraction
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.datasets.prepare import PreparedData

DEVICE_SHARE = 0.4  # of the GPU's free memory that decoded pixels may take; the rest belongs to the model


@dataclass(frozen=True, kw_only=True)
class SplitData:
    """One split: its manifest, the cache row of each image, and its targets (N, K) with NaN for unknown."""

    manifest: Manifest
    cache_rows: np.ndarray
    targets: torch.Tensor

    def __len__(self) -> int:
        return len(self.cache_rows)

    def select(self, rows: np.ndarray) -> "SplitData":
        """Some rows, by position, in that order."""
        return SplitData(
            manifest=self.manifest.select(rows),
            cache_rows=self.cache_rows[rows],
            targets=self.targets[torch.from_numpy(rows)],
        )


def split_data(prepared: PreparedData, data: DataConfig) -> dict[str, SplitData]:
    """The three splits, train cut down to the label fraction."""
    splits = {}
    for name in ("train", "val", "test"):
        rows = np.flatnonzero((prepared.manifest.table["split"] == name).to_numpy())
        manifest = prepared.manifest.select(rows)
        if name == "train":
            chosen = select_fraction(manifest, data.fraction, seed=data.fraction_seed)
            rows, manifest = rows[chosen], manifest.select(chosen)
        splits[name] = SplitData(
            manifest=manifest, cache_rows=prepared.cache_rows[rows], targets=torch.tensor(manifest.targets())
        )
    return splits


class BatchSource(Protocol):
    """What a network, or a head alone, is fed with, by row of the pixel cache."""

    def batch(self, cache_rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (B, C, H, W) and their sizes (B, 2), or what stands for them."""


class PixelSource:
    """Batches of cached pixels by index: from the GPU's memory where they fit, else from the memory-mapped file."""

    def __init__(self, cache: PixelCache, device: str) -> None:
        self.cache = cache
        self.device = device
        self._resident: torch.Tensor | None = None
        if device.startswith("cuda") and cache.is_uniform:
            free_bytes, _ = torch.cuda.mem_get_info(device)
            if cache.nbytes < free_bytes * DEVICE_SHARE:
                self._resident = copy_to_device(cache.array(), device)

    @property
    def is_resident(self) -> bool:
        """Whether all pixels lie on the GPU."""
        return self._resident is not None

    def batch(self, cache_rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (B, C, H, W) uint8 on the device, padded at bottom and right, and sizes (B, 2) on the CPU."""
        if self._resident is not None:
            rows = torch.from_numpy(cache_rows).pin_memory().to(self.device, non_blocking=True)
            pixels = self._resident.index_select(0, rows)
            return pixels, torch.tensor([pixels.shape[-2:]]).expand(len(cache_rows), 2)
        gathered, gathered_sizes = self.cache.gather(cache_rows)
        pixels, sizes = torch.from_numpy(gathered), torch.from_numpy(gathered_sizes)
        if self.device.startswith("cuda"):
            pixels = pixels.pin_memory()
        return pixels.to(self.device, non_blocking=True), sizes


def copy_to_device(pixels: np.ndarray, device: str, *, rows_at_once: int = 4096) -> torch.Tensor:
    """All pixels in the device's memory, copied in portions: the whole of a large data set may not fit the host's."""
    copied = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), rows_at_once):
        copied[start : start + rows_at_once] = torch.from_numpy(np.array(pixels[start : start + rows_at_once]))
    return copied


def epoch_order(num_images: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of the training images in one epoch; seed and epoch decide it, so a resumed run repeats it."""
    return np.random.default_rng([seed, epoch]).permutation(num_images)


def batch_seed(seed: int, epoch: int, index: int) -> int:
    """One seed for everything that is random in one forward pass: augmentation, dropout, stochastic depth."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, dtype=np.uint64)[0] >> np.uint64(1))
