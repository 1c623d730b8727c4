"""What fine-tuning and pre-training share: epochs, batches, updates, clock, checkpoints, the exact position. Heavy.

What a batch costs, and what follows a step or an epoch, is said by `training.loop` and `pretraining.loop`.
"""

import math
import time
from abc import ABC, abstractmethod
from collections import deque

import numpy as np
import torch

from medpeft_core.errors import TrainingError
from medpeft_core.training.checkpoint import Position, save_checkpoint
from medpeft_core.training.control import Control
from medpeft_core.training.data import batch_seed, epoch_order
from medpeft_core.training.device import measure_peak_memory
from medpeft_core.training.evaluate import Stopped
from medpeft_core.training.optim import Schedule, compute_lr, count_warmup_steps, set_lr
from medpeft_core.training.parts import StepParts, count_batches, group_size

LOGS_PER_EPOCH = 20
ETA_WINDOWS = 9  # the median over so many log lines stays calm when the machine is busy for a moment
MIN_STEPS_PER_LOG = 10  # each log line fetches the losses, and so waits for the GPU


class EpochLoop(ABC):
    """Runs epochs from a position to the end, or until a stop is asked for.

    Args:
        parts: model, data and settings.
        schedule: learning rate and clipping.
        position: where to go on.
        control: the worker's side.
        started: when this session of the run began, by `time.perf_counter`.
    """

    def __init__(
        self,
        parts: StepParts,
        schedule: Schedule,
        position: Position,
        control: Control,
        *,
        started: float | None = None,
    ) -> None:
        self.position = position
        self.control = control
        self._parts, self._schedule = parts, schedule
        section = self._section = parts.train_section
        self.num_batches = count_batches(len(parts.train), section.batch_size)
        self.steps_per_epoch = math.ceil(self.num_batches / section.accumulation)
        self.num_steps = self.steps_per_epoch * section.epochs
        self.warmup_steps = count_warmup_steps(
            schedule.warmup_epochs, steps_per_epoch=self.steps_per_epoch, num_steps=self.num_steps
        )
        self.log_every = max(1 if parts.device == "cpu" else MIN_STEPS_PER_LOG, self.steps_per_epoch // LOGS_PER_EPOCH)
        self.trained = list(parts.adapted.trainable().values())
        self.extra_epoch_s = 0.0  # of an epoch beside its batches, for the time that is left
        self._pending: list[tuple[int, torch.Tensor]] = []  # (step, loss on the device) not yet looked at
        self._started = time.perf_counter() if started is None else started
        self._earlier_wall_time_s = position.wall_time_s
        self._window_images = 0
        self._mark = self._window_started = self._last_checkpoint = time.perf_counter()
        self._batch_times_s: deque[float] = deque(maxlen=ETA_WINDOWS)

    @abstractmethod
    def prepare_batch(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """What a batch needs beside its images, on the device; `rows` are positions in the training split."""

    @abstractmethod
    def compute_batch_loss(self, images: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        """The loss of one forward pass; `extra` is what `prepare_batch` gave."""

    @abstractmethod
    def end_epoch(self, mean_loss: float) -> bool:
        """What follows an epoch whose losses and weights are finite; true when training is over."""

    @abstractmethod
    def build_error(self, what: str, step: int) -> TrainingError:
        """The error of a training that has left the finite numbers; `what` did so in optimizer step `step`, from 1."""

    def do_what_is_due(self) -> None:
        """Called after each update, and before the rest of an epoch that was left inside this; nothing by itself."""
        return None

    def before_epoch_ends(self) -> None:
        """What an epoch has after its last batch, also when it was left inside this; nothing by itself."""
        return None

    def fit(self) -> None:
        """Train to the end.

        Raises:
            Stopped: somebody asked for it; the checkpoint holds the exact position.
            TrainingError: the loss or the weights are no longer finite; the last good checkpoint stays.
        """
        self._parts.adapted.begin(self.num_steps)
        while not self.position.is_over:
            try:
                self.tell_epoch()
                self.run_batches()
                self._end_epoch()
            except Stopped:
                self._note_train_time()
                self._save()
                raise

    def wall_time_s(self) -> float:
        """Seconds of all sessions of this run so far, data and evaluation included."""
        return self._earlier_wall_time_s + time.perf_counter() - self._started

    def run_batches(self) -> None:
        """The forward and backward passes that are left of the current epoch, until the device has done them.

        Raises:
            Stopped: somebody asked for it.
            TrainingError: the loss is no longer finite.
        """
        position, section = self.position, self._section
        order = epoch_order(len(self._parts.train), seed=section.seed, epoch=position.epoch)
        self._parts.adapted.set_train_mode()
        self._mark = self._window_started = time.perf_counter()
        self._window_images = 0
        self.do_what_is_due()
        while position.batch < self.num_batches:
            if self.control.should_stop():
                raise Stopped
            rows = order[position.batch * section.batch_size : (position.batch + 1) * section.batch_size]
            self._run_batch(rows)
            if position.batch % section.accumulation == 0 or position.batch == self.num_batches:
                self._after_step()
        self._note_train_time()

    def collect_losses(self) -> None:
        """Fetch the losses from the device, all at once, and refuse to go on when one is not finite."""
        if not self._pending:
            return
        values = torch.stack([loss for _, loss in self._pending]).cpu().tolist()  # no .double(): MPS has none
        steps = [step for step, _ in self._pending]
        self._pending = []
        for step, value in zip(steps, values, strict=True):
            if not math.isfinite(value):
                raise self.build_error(f"The loss ({value})", step + 1)
            self.position.loss_sum += value
            self.position.num_losses += 1
            self.position.window.append(value)

    def check_weights(self) -> None:
        """Refuse to go on when a trained weight is not finite."""
        is_finite = torch.stack([torch.isfinite(parameter).all() for parameter in self.trained]).all()
        if not bool(is_finite):
            raise self.build_error("A weight", self.position.step)

    def leave_out(self, seconds: float) -> None:
        """Keep an evaluation or a checkpoint out of the speed of training."""
        self._mark += seconds
        self._window_started += seconds

    def tell_epoch(self) -> None:
        self.tell(f"epoch {self.position.epoch} of {self._section.epochs}")

    def tell(self, phase: str | None) -> None:
        """Show where training stands, with the time that is left; None keeps the phase."""
        epochs, position = self._section.epochs, self.position
        eta_s = None
        if self._batch_times_s:
            left = (epochs - position.epoch + 1) * self.num_batches - position.batch
            eta_s = left * float(np.median(self._batch_times_s)) + (epochs - position.epoch + 1) * self.extra_epoch_s
        self.control.set_progress(
            phase=phase, epoch=position.epoch, epochs=epochs, step=position.step, num_steps=self.num_steps, eta_s=eta_s
        )

    def emit(self, kind: str, **values: object) -> None:
        """Append an event of this epoch and step."""
        self.control.emit({"type": kind, "epoch": self.position.epoch, "step": self.position.step, **values})

    def describe_epoch(self, mean_loss: float) -> dict[str, float]:
        """What the event of an epoch tells of it: loss, speed, waiting, memory."""
        position = self.position
        return {
            "train_loss": mean_loss,
            "train_images_per_s": position.train_images / max(position.train_time_s, 1e-9),
            "data_wait_frac": position.data_wait_s / max(position.train_time_s, 1e-9),
            "peak_memory_bytes": measure_peak_memory(self._parts.device),
        }

    def _run_batch(self, rows: np.ndarray) -> None:
        """One forward and backward pass, and the update when enough of them are done. Never waits for the GPU."""
        parts, position, section = self._parts, self.position, self._section
        started = time.perf_counter()
        seed = batch_seed(section.seed, position.epoch, position.batch)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        pixels, sizes = parts.source.batch(parts.train.cache_rows[rows])
        images = parts.transform.varied(pixels, sizes, generator)
        extra = self.prepare_batch(rows, generator)
        position.data_wait_s += time.perf_counter() - started
        loss = self.compute_batch_loss(images, extra)
        share = loss / group_size(position.batch, accumulation=section.accumulation, num_batches=self.num_batches)
        (parts.scaler.scale(share) if parts.scaler is not None else share).backward()
        self._pending.append((position.step, loss.detach()))
        position.batch += 1
        position.train_images += len(rows)
        self._window_images += len(rows)
        if position.batch % section.accumulation == 0 or position.batch == self.num_batches:
            self._update()

    def _update(self) -> None:
        parts, schedule = self._parts, self._schedule
        lr = compute_lr(
            self.position.step,
            num_steps=self.num_steps,
            warmup_steps=self.warmup_steps,
            peak=schedule.peak_lr,
            floor=schedule.min_lr,
        )
        set_lr(parts.optimizer, lr)
        if parts.scaler is not None:
            parts.scaler.unscale_(parts.optimizer)
        if schedule.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, schedule.clip_norm)
        if parts.scaler is not None:
            parts.scaler.step(parts.optimizer)
            parts.scaler.update()
        else:
            parts.optimizer.step()
        parts.adapted.after_step(self.position.step, is_scaled=parts.scaler is not None)
        parts.optimizer.zero_grad(set_to_none=True)
        self.position.step += 1

    def _after_step(self) -> None:
        if self.position.step % self.log_every == 0 or self.position.step == 1:
            self._log_step()
        self.do_what_is_due()
        if time.perf_counter() - self._last_checkpoint > self._section.checkpoint_every_s:
            self._save()

    def _end_epoch(self) -> None:
        position = self.position
        self.before_epoch_ends()
        self.collect_losses()
        self.check_weights()
        mean_loss = position.loss_sum / max(position.num_losses, 1)
        position.last_train_loss = mean_loss
        position.epochs_done = position.epoch
        self.tell(None)  # the last step of an epoch may lie between two log lines
        position.is_over = self.end_epoch(mean_loss)
        position.epoch += 0 if position.is_over else 1
        position.batch, position.loss_sum, position.num_losses = 0, 0.0, 0
        self._save()

    def _log_step(self) -> None:
        self.collect_losses()
        elapsed = time.perf_counter() - self._window_started
        loss = float(np.mean(window)) if (window := self.position.window) else None
        if self.position.first_train_loss is None:
            self.position.first_train_loss = loss
        num_batches = self._window_images / self._section.batch_size
        self._batch_times_s.append(elapsed / max(num_batches, 1))
        group = self._parts.optimizer.param_groups[0]
        images_per_s = self._window_images / max(elapsed, 1e-9)
        self.emit("step", loss=loss, lr=group["lr"] / group["lr_scale"], images_per_s=images_per_s)
        self.position.window = []
        self._window_started, self._window_images = time.perf_counter(), 0
        self.tell(None)

    def _save(self) -> None:
        self.collect_losses()
        started = time.perf_counter()
        self.check_weights()
        parts = self._parts
        self.position.wall_time_s = self.wall_time_s()
        save_checkpoint(
            parts.checkpoint_dir,
            adapted=parts.adapted,
            optimizer=parts.optimizer,
            scaler=parts.scaler,
            position=self.position,
        )
        self._last_checkpoint = time.perf_counter()
        self.leave_out(self._last_checkpoint - started)

    def _note_train_time(self) -> None:
        """Book the time since the last look as training, after the device has really done it."""
        self.collect_losses()
        now = time.perf_counter()
        self.position.train_time_s += now - self._mark
        self._mark = now
