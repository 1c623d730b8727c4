"""The lab's own training loop, fed with tensors in memory, for comparison with minimal_loop.py."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    EvaluationConfig,
    MethodConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.training.build import build_loop_parts, build_model
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import SilentControl
from medpeft_core.training.data import SplitData
from medpeft_core.training.loop import TrainingLoop

LABELS = tuple(f"label_{index}" for index in range(14))


class TensorSource:
    """Gives the same finished tensor for every batch."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def batch(self, cache_rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[: len(cache_rows)], torch.tensor([self.images.shape[-2:]]).expand(len(cache_rows), 2)


class TensorTransform:
    """Leaves tensors as they are."""

    def varied(self, pixels: torch.Tensor, sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return pixels

    def plain(self, pixels: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        return pixels


class LabLoop:
    """`run` trains for some steps through the lab's TrainingLoop, its logging included, evaluation left out.

    Attributes:
        adapted: the model with its method.
    """

    def __init__(
        self,
        backbone: str,
        method: str,
        *,
        images: torch.Tensor,
        targets: torch.Tensor,
        steps: int,
        precision: str,
        epochs: int = 10_000,
    ) -> None:
        device = str(images.device)
        config = RunConfig(
            backbone=BackboneConfig(name=backbone, image_size=images.shape[-1], pool="avg"),
            method=MethodConfig(name=method),
            optim=OptimConfig(lr=1e-4),
            train=TrainConfig(epochs=epochs, batch_size=len(images), device=device, precision=precision),
            augment=AugmentConfig(),
            evaluation=EvaluationConfig(),
        )
        folder = Path(tempfile.mkdtemp())
        train = build_split(len(images) * steps, targets.cpu())
        parts = build_loop_parts(
            config,
            build_model(config, num_classes=len(LABELS)),
            splits={"train": train, "val": build_split(1, targets.cpu())},
            source=TensorSource(images),  # type: ignore[arg-type]
            task="multilabel",
            labels=LABELS,
            checkpoint_dir=folder / "checkpoint",
            adapter_dir=folder / "adapter",
        )
        object.__setattr__(parts, "transform", TensorTransform())
        self.loop = TrainingLoop(parts, Position(), SilentControl())
        self.adapted = parts.adapted
        self.adapted.begin(self.loop.num_steps)

    def run(self, steps: int | None = None) -> None:
        """One epoch's batches, or only its last `steps`, until the device has done them."""
        loop = self.loop
        loop.position.batch = 0 if steps is None else max(loop.num_batches - steps, 0)
        loop.run_batches()


def build_split(count: int, targets: torch.Tensor) -> SplitData:
    """`count` images whose targets repeat those of one batch."""
    repeated = targets[torch.arange(count) % len(targets)]
    table = pd.DataFrame({"image": [str(index) for index in range(count)], "patient_id": None, "split": "train"})
    manifest = Manifest(
        dataset="tensors",
        task="multilabel",
        labels=LABELS,
        image_root=Path(),
        table=pd.concat([table, pd.DataFrame(repeated.numpy(), columns=list(LABELS))], axis=1),
    )
    return SplitData(manifest=manifest, cache_rows=np.arange(count), targets=repeated)
