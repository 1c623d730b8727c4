"""The loop of a pre-training: batches, masks, updates, kept encoders and pictures; it knows no pages. Heavy."""

import math
import time
from collections import deque
from typing import Any

import numpy as np
import torch

from medpeft_core.errors import TrainingError
from medpeft_core.pretraining.build import PretrainParts
from medpeft_core.pretraining.encoders import save_encoder
from medpeft_core.pretraining.files import name_rebuilt
from medpeft_core.pretraining.pictures import Showcase
from medpeft_core.training.checkpoint import Position, save_checkpoint
from medpeft_core.training.control import Control
from medpeft_core.training.data import batch_seed, epoch_order
from medpeft_core.training.device import autocast, measure_peak_memory
from medpeft_core.training.evaluate import Stopped
from medpeft_core.training.optim import compute_lr, count_warmup_steps, set_lr
from medpeft_core.training.parts import count_batches, group_size

LOGS_PER_EPOCH = 20
MIN_STEPS_PER_LOG = 10  # on a GPU each log line fetches the losses, and so waits for it
ETA_WINDOWS = 9
PICTURES = 40  # about so many in all
ENCODERS = 4  # kept in all


class PretrainLoop:
    """Runs epochs from a position to the end, or until a stop is asked for.

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
        self.parts = parts
        self.position = position
        self.control = control
        self.facts = facts
        self.showcase = Showcase(parts.autoencoder, parts.transform, parts.source, parts.train, parts.pictures_dir)
        self.last_rebuilt: dict[str, Any] | None = None
        train = parts.config.train
        self.num_batches = count_batches(len(parts.train), train.batch_size)
        self.steps_per_epoch = math.ceil(self.num_batches / train.accumulation)
        self.num_steps = self.steps_per_epoch * train.epochs
        self.warmup_steps = count_warmup_steps(
            parts.config.optim.warmup_epochs, steps_per_epoch=self.steps_per_epoch, num_steps=self.num_steps
        )
        self.log_every = max(1 if parts.device == "cpu" else MIN_STEPS_PER_LOG, self.steps_per_epoch // LOGS_PER_EPOCH)
        self.show_every = train.show_every or max(round(train.epochs / PICTURES), 1)
        self.keep_every = train.keep_every or max(math.ceil(train.epochs / ENCODERS), 1)
        self.trained = list(parts.adapted.trainable().values())
        self._pending: list[tuple[int, torch.Tensor]] = []  # (step, loss on the device) not yet looked at
        self._started = time.perf_counter() if started is None else started
        self._earlier_wall_time_s = position.wall_time_s
        self._window_images = 0
        self._mark = self._window_started = self._last_checkpoint = time.perf_counter()
        self._batch_times_s: deque[float] = deque(maxlen=ETA_WINDOWS)

    def fit(self) -> None:
        """Train to the end.

        Raises:
            Stopped: somebody asked for it; the checkpoint holds the exact position.
            TrainingError: the loss or the weights are no longer finite; the last good checkpoint stays.
        """
        self.showcase.begin()
        if self.position.step == 0:
            self._show(0)  # what an untrained model makes of the images
        while not self.position.is_over:
            try:
                self._tell_epoch()
                self.run_batches()
                self._end_epoch()
            except Stopped:
                self._note_train_time()
                self._save()
                raise

    def wall_time_s(self) -> float:
        """Seconds of all sessions of this run so far, data included."""
        return self._earlier_wall_time_s + time.perf_counter() - self._started

    def run_batches(self) -> None:
        """The forward and backward passes that are left of the current epoch, until the device has done them.

        Raises:
            Stopped: somebody asked for it.
            TrainingError: the loss is no longer finite.
        """
        position, train = self.position, self.parts.config.train
        order = epoch_order(len(self.parts.train), seed=train.seed, epoch=position.epoch)
        self.parts.adapted.set_train_mode()
        self._mark = self._window_started = time.perf_counter()
        self._window_images = 0
        while position.batch < self.num_batches:
            if self.control.should_stop():
                raise Stopped
            rows = order[position.batch * train.batch_size : (position.batch + 1) * train.batch_size]
            self._run_batch(rows)
            if position.batch % train.accumulation == 0 or position.batch == self.num_batches:
                self._after_step()
        self._note_train_time()

    def _run_batch(self, rows: np.ndarray) -> None:
        """One forward and backward pass, and the update when enough of them are done. Never waits for the GPU."""
        parts, position, train = self.parts, self.position, self.parts.config.train
        started = time.perf_counter()
        seed = batch_seed(train.seed, position.epoch, position.batch)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        pixels, sizes = parts.source.batch(parts.train.cache_rows[rows])
        images = parts.transform.varied(pixels, sizes, generator)
        noise = torch.rand(len(rows), parts.autoencoder.num_patches, generator=generator)
        noise = noise.to(parts.device, non_blocking=True)
        position.data_wait_s += time.perf_counter() - started
        with autocast(parts.device, parts.precision):
            loss = parts.autoencoder(images, noise).loss
        share = loss / group_size(position.batch, accumulation=train.accumulation, num_batches=self.num_batches)
        (parts.scaler.scale(share) if parts.scaler is not None else share).backward()
        self._pending.append((position.step, loss.detach()))
        position.batch += 1
        position.train_images += len(rows)
        self._window_images += len(rows)
        if position.batch % train.accumulation == 0 or position.batch == self.num_batches:
            self._update()

    def _update(self) -> None:
        parts, optim = self.parts, self.parts.config.optim
        lr = compute_lr(
            self.position.step,
            num_steps=self.num_steps,
            warmup_steps=self.warmup_steps,
            peak=parts.config.peak_lr,
            floor=optim.min_lr,
        )
        set_lr(parts.optimizer, lr)
        if optim.clip_norm:
            if parts.scaler is not None:
                parts.scaler.unscale_(parts.optimizer)
            torch.nn.utils.clip_grad_norm_(self.trained, optim.clip_norm)
        if parts.scaler is not None:
            parts.scaler.step(parts.optimizer)
            parts.scaler.update()
        else:
            parts.optimizer.step()
        parts.optimizer.zero_grad(set_to_none=True)
        self.position.step += 1

    def _after_step(self) -> None:
        if self.position.step % self.log_every == 0 or self.position.step == 1:
            self._log_step()
        if time.perf_counter() - self._last_checkpoint > self.parts.config.train.checkpoint_every_s:
            self._save()

    def _end_epoch(self) -> None:
        position, train = self.position, self.parts.config.train
        self._collect_losses()
        self._check_weights()
        self._tell(None)  # the last step of an epoch may lie between two log lines
        mean_loss = position.loss_sum / max(position.num_losses, 1)
        position.last_train_loss = mean_loss
        position.epochs_done = position.epoch
        self._emit(
            "epoch",
            train_loss=mean_loss,
            train_images_per_s=position.train_images / max(position.train_time_s, 1e-9),
            data_wait_frac=position.data_wait_s / max(position.train_time_s, 1e-9),
            peak_memory_bytes=measure_peak_memory(self.parts.device),
        )
        is_last = position.epoch >= train.epochs
        if position.epoch % self.show_every == 0 or is_last:
            self._show(position.epoch)
        if position.epoch % self.keep_every == 0 or is_last:
            self._keep(position.epoch, mean_loss)
        position.is_over = is_last
        position.epoch += 0 if is_last else 1
        position.batch, position.loss_sum, position.num_losses = 0, 0.0, 0
        self._save()

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
        self._emit("encoder", file=saved.file, sha256=saved.sha256, num_bytes=saved.num_bytes, train_loss=train_loss)

    def _log_step(self) -> None:
        self._collect_losses()
        elapsed = time.perf_counter() - self._window_started
        loss = float(np.mean(window)) if (window := self.position.window) else None
        if self.position.first_train_loss is None:
            self.position.first_train_loss = loss
        num_batches = self._window_images / self.parts.config.train.batch_size
        self._batch_times_s.append(elapsed / max(num_batches, 1))
        lr = self.parts.optimizer.param_groups[0]["lr"]
        self._emit("step", loss=loss, lr=lr, images_per_s=self._window_images / max(elapsed, 1e-9))
        self.position.window = []
        self._window_started, self._window_images = time.perf_counter(), 0
        self._tell(None)

    def _collect_losses(self) -> None:
        """Fetch the losses from the device, all at once, and refuse to go on when one is not finite."""
        if not self._pending:
            return
        values = torch.stack([loss for _, loss in self._pending]).cpu().tolist()
        steps = [step for step, _ in self._pending]
        self._pending = []
        for step, value in zip(steps, values, strict=True):
            if not math.isfinite(value):
                raise self._not_finite_error(f"The loss ({value})", step + 1)
            self.position.loss_sum += value
            self.position.num_losses += 1
            self.position.window.append(value)

    def _check_weights(self) -> None:
        is_finite = torch.stack([torch.isfinite(parameter).all() for parameter in self.trained]).all()
        if not bool(is_finite):
            raise self._not_finite_error("A weight", self.position.step)

    def _save(self) -> None:
        self._collect_losses()
        started = time.perf_counter()
        self._check_weights()
        parts = self.parts
        self.position.wall_time_s = self.wall_time_s()
        save_checkpoint(
            parts.checkpoint_dir,
            adapted=parts.adapted,
            optimizer=parts.optimizer,
            scaler=parts.scaler,
            position=self.position,
        )
        self._last_checkpoint = time.perf_counter()
        self._mark += self._last_checkpoint - started
        self._window_started += self._last_checkpoint - started

    def _note_train_time(self) -> None:
        """Book the time since the last look as training, after the device has really done it."""
        self._collect_losses()
        now = time.perf_counter()
        self.position.train_time_s += now - self._mark
        self._mark = now

    def _tell_epoch(self) -> None:
        self._tell(f"epoch {self.position.epoch} of {self.parts.config.train.epochs}")

    def _tell(self, phase: str | None) -> None:
        epochs, position = self.parts.config.train.epochs, self.position
        eta_s = None
        if self._batch_times_s:
            left = (epochs - position.epoch + 1) * self.num_batches - position.batch
            eta_s = left * float(np.median(self._batch_times_s))
        self.control.set_progress(
            phase=phase, epoch=position.epoch, epochs=epochs, step=position.step, num_steps=self.num_steps, eta_s=eta_s
        )

    def _emit(self, kind: str, **values: object) -> None:
        self.control.emit({"type": kind, "epoch": self.position.epoch, "step": self.position.step, **values})

    def _not_finite_error(self, what: str, step: int) -> TrainingError:
        lower = self.parts.config.optim.base_lr / 10
        return TrainingError(
            f"{what} is no longer a finite number at step {step} (epoch {self.position.epoch}). The learning rate is "
            f"probably too high: pre-train again with --base-lr {lower:g}. The last good checkpoint and the encoders "
            "kept so far stay."
        )
