"""What training/build.py and pretraining/build.py hand to their loops."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from medpeft_core.config import RunConfig, TrainConfig
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.pretrain_config import PretrainTrainConfig
from medpeft_core.training.augment import Transform
from medpeft_core.training.data import BatchSource, SplitData


@dataclass(frozen=True, kw_only=True)
class StepParts(ABC):
    """What a loop needs whatever it learns: `training.epochs` sees this and no more."""

    adapted: AdaptedModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    source: BatchSource
    transform: Transform
    train: SplitData
    device: str
    precision: str
    checkpoint_dir: Path

    @property
    @abstractmethod
    def train_section(self) -> TrainConfig | PretrainTrainConfig:
        """Epochs, batch size, accumulation, seed and the time between checkpoints."""


@dataclass(frozen=True, kw_only=True)
class LoopParts(StepParts):
    """Everything that training/build.py made for a run.

    Attributes:
        predictor: what the transform gives, to logits: the network, or on cached features its head alone.
        forward: the same for training, compiled where that was asked for.
    """

    config: RunConfig
    predictor: nn.Module
    forward: Callable[[torch.Tensor], torch.Tensor]
    val: SplitData
    task: str
    labels: tuple[str, ...]
    class_weights: torch.Tensor | None
    adapter_dir: Path

    @property
    def train_section(self) -> TrainConfig:
        return self.config.train


def group_size(batch: int, *, accumulation: int, num_batches: int) -> int:
    """Forward passes in the accumulated step that `batch` belongs to; the last one of an epoch may be shorter."""
    first = batch // accumulation * accumulation
    return min(accumulation, num_batches - first)


def count_batches(num_images: int, batch_size: int) -> int:
    """Forward passes of an epoch; a last batch of one image is left out, since BatchNorm cannot normalise it."""
    full, rest = divmod(num_images, batch_size)
    return full + (1 if rest > 1 or (rest == 1 and full == 0) else 0)
