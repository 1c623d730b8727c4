"""The loop of a pre-training: masks, kept encoders and pictures; all else it shares with `training.loop`. Heavy."""

import math
from typing import Any

import numpy as np
import torch

from medpeft_core.errors import TrainingError
from medpeft_core.pretraining.build import PretrainParts
from medpeft_core.pretraining.encoders import save_encoder
from medpeft_core.pretraining.files import name_rebuilt
from medpeft_core.pretraining.pictures import Showcase
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import Control
from medpeft_core.training.device import autocast
from medpeft_core.training.epochs import EpochLoop
from medpeft_core.training.optim import Schedule

PICTURES = 40  # about so many in all
ENCODERS = 4  # kept in all


class PretrainLoop(EpochLoop):
    """Rebuilds the hidden patches of the training images.

    Args:
        parts: model, data and settings.
        position: where to go on.
        control: the worker's side.
        facts: for the model cards of the encoders.
        started: when this session of the run began, by `time.perf_counter`.
    """

    def __init__(
        self,
        parts: PretrainParts,
        position: Position,
        control: Control,
        *,
        facts: dict[str, Any],
        started: float | None = None,
    ) -> None:
        optim, train = parts.config.optim, parts.config.train
        schedule = Schedule(
            peak_lr=parts.config.peak_lr,
            min_lr=optim.min_lr,
            warmup_epochs=optim.warmup_epochs,
            clip_norm=optim.clip_norm,
        )
        super().__init__(parts, schedule, position, control, started=started)
        self.parts = parts
        self.facts = facts
        self.showcase = Showcase(parts.autoencoder, parts.transform, parts.source, parts.train, parts.pictures_dir)
        self.last_rebuilt: dict[str, Any] | None = None
        self.show_every = train.show_every or max(round(train.epochs / PICTURES), 1)
        self.keep_every = train.keep_every or max(math.ceil(train.epochs / ENCODERS), 1)

    def fit(self) -> None:
        self.showcase.begin()
        if self.position.step == 0:
            self._show(0)  # what an untrained model makes of the images
        super().fit()

    def prepare_batch(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """The noise (B, N) that decides which patches are hidden."""
        noise = torch.rand(len(rows), self.parts.autoencoder.num_patches, generator=generator)
        return noise.to(self.parts.device, non_blocking=True)

    def compute_batch_loss(self, images: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        with autocast(self.parts.device, self.parts.precision):
            loss: torch.Tensor = self.parts.autoencoder(images, extra).loss
        return loss

    def end_epoch(self, mean_loss: float) -> bool:
        epoch = self.position.epoch
        self.emit("epoch", **self.describe_epoch(mean_loss))
        is_last = epoch >= self.parts.config.train.epochs
        if epoch % self.show_every == 0 or is_last:
            self._show(epoch)
        if epoch % self.keep_every == 0 or is_last:
            self._keep(epoch, mean_loss)
        return is_last

    def build_error(self, what: str, step: int) -> TrainingError:
        lower = self.parts.config.optim.base_lr / 10
        return TrainingError(
            f"{what} is no longer a finite number at step {step} (epoch {self.position.epoch}). The learning rate is "
            f"probably too high: pre-train again with --base-lr {lower:g}. The last good checkpoint and the encoders "
            "kept so far stay."
        )

    def _show(self, epoch: int) -> None:
        self.last_rebuilt = self.showcase.show(epoch)
        self.control.emit(
            {"type": "rebuilt", "step": self.position.step, "picture": name_rebuilt(epoch), **self.last_rebuilt}
        )

    def _keep(self, epoch: int, train_loss: float) -> None:
        parts = self.parts
        saved = save_encoder(
            parts.autoencoder.encoder,
            parts.encoders_dir,
            config=parts.config,
            epoch=epoch,
            train_loss=train_loss,
            facts=self.facts,
        )
        self.emit("encoder", file=saved.file, sha256=saved.sha256, num_bytes=saved.num_bytes, train_loss=train_loss)
