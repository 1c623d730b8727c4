"""What training/build.py hands to the training loop."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from medpeft_core.config import RunConfig
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.data import PixelSource, SplitData


@dataclass(frozen=True, kw_only=True)
class LoopParts:
    """Everything that training/build.py made for a run."""

    config: RunConfig
    adapted: AdaptedModel
    forward: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    source: PixelSource
    transform: BatchTransform
    train: SplitData
    val: SplitData
    task: str
    labels: tuple[str, ...]
    class_weights: torch.Tensor | None
    device: str
    precision: str
    checkpoint_dir: Path
    adapter_dir: Path


def group_size(batch: int, *, accumulation: int, num_batches: int) -> int:
    """Forward passes in the accumulated step that `batch` belongs to; the last one of an epoch may be shorter."""
    first = batch // accumulation * accumulation
    return min(accumulation, num_batches - first)


def count_batches(num_images: int, batch_size: int) -> int:
    """Forward passes of an epoch; a last batch of one image is left out, since BatchNorm cannot normalise it."""
    full, rest = divmod(num_images, batch_size)
    return full + (1 if rest > 1 or (rest == 1 and full == 0) else 0)
