"""The one training loop, for every method and backbone. It emits events; it knows no user interface."""

import math
import time
from collections import deque

import numpy as np
import torch

from medpeft_core.errors import TrainingError
from medpeft_core.training.best import save_best
from medpeft_core.training.checkpoint import Position, save_checkpoint
from medpeft_core.training.control import Control
from medpeft_core.training.data import batch_seed, epoch_order
from medpeft_core.training.device import autocast, measure_peak_memory
from medpeft_core.training.evaluate import Stopped, choose_val_rows, compute_val_metrics, predict_split
from medpeft_core.training.loss import build_not_finite_error, compute_loss
from medpeft_core.training.optim import compute_lr, count_warmup_steps, set_lr
from medpeft_core.training.parts import LoopParts, count_batches, group_size

LOGS_PER_EPOCH = 20
ETA_WINDOWS = 9  # the median over so many log lines stays calm when the machine is busy for a moment
MIN_STEPS_PER_LOG = 10  # each log line fetches the losses, and so waits for the GPU


class TrainingLoop:
    """Runs epochs from a position to the end, or until a stop is asked for."""

    def __init__(self, parts: LoopParts, position: Position, control: Control, *, started: float | None = None) -> None:
        self.parts = parts
        self.position = position
        self.control = control
        train = parts.config.train
        self.num_batches = count_batches(len(parts.train), train.batch_size)
        self.steps_per_epoch = math.ceil(self.num_batches / train.accumulation)
        self.num_steps = self.steps_per_epoch * train.epochs
        self.warmup_steps = count_warmup_steps(
            parts.config.optim.warmup_epochs, steps_per_epoch=self.steps_per_epoch, num_steps=self.num_steps
        )
        self.log_every = max(1 if parts.device == "cpu" else MIN_STEPS_PER_LOG, self.steps_per_epoch // LOGS_PER_EPOCH)
        self.targets = parts.train.targets.to(parts.device)
        self.val_rows = choose_val_rows(len(parts.val), parts.config)
        self.trained = list(parts.adapted.trainable().values())
        self._pending: list[tuple[int, torch.Tensor]] = []  # (step, loss on the device) not yet looked at
        self._started = time.perf_counter() if started is None else started
        self._earlier_wall_time_s = position.wall_time_s
        self._window_images = 0
        self._mark = self._window_started = self._last_checkpoint = time.perf_counter()
        self._batch_times_s: deque[float] = deque(maxlen=ETA_WINDOWS)
        self._eval_time_s = 0.0

    def fit(self) -> None:
        """Train to the end.

        Raises:
            Stopped: somebody asked for it; the checkpoint holds the exact position.
            TrainingError: the loss or the weights are no longer finite; the last good checkpoint stays.
        """
        while not self.position.is_over:
            try:
                self._run_epoch()
            except Stopped:
                self._note_train_time()
                self._save()
                raise

    def wall_time_s(self) -> float:
        """Seconds of all sessions of this run so far, data and evaluation included."""
        return self._earlier_wall_time_s + time.perf_counter() - self._started

    def _run_epoch(self) -> None:
        self._tell_epoch()
        self.run_batches()
        self._end_epoch()

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
        self._evaluate_if_due()  # a stop may have fallen into the evaluation itself
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
        pixels, sizes = parts.source.batch(parts.train.cache_rows[rows])
        images = parts.transform.varied(pixels, sizes, torch.Generator().manual_seed(seed))
        targets = self.targets[torch.from_numpy(rows).to(parts.device, non_blocking=True)]
        position.data_wait_s += time.perf_counter() - started
        with autocast(parts.device, parts.precision):
            logits = parts.forward(images)
        loss = compute_loss(logits, targets, task=parts.task, class_weights=parts.class_weights)
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
            peak=optim.lr or 0.0,
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
        self._evaluate_if_due()
        if time.perf_counter() - self._last_checkpoint > self.parts.config.train.checkpoint_every_s:
            self._save()

    def _evaluate_if_due(self) -> None:
        position, every = self.position, self.parts.config.train.eval_every
        is_due = bool(every) and position.step > 0 and (position.step % every == 0 or position.step == self.num_steps)
        if is_due and position.last_eval_step != position.step:
            self._evaluate()
            self.parts.adapted.set_train_mode()

    def _end_epoch(self) -> None:
        position, train = self.position, self.parts.config.train
        if not train.eval_every and position.last_eval_step != position.step:
            self._evaluate()
        mean_loss = position.loss_sum / max(position.num_losses, 1)
        position.last_train_loss = mean_loss
        position.epochs_done = position.epoch
        self._emit(
            "epoch",
            train_loss=mean_loss,
            best_val_score=position.best_score,
            train_images_per_s=position.train_images / max(position.train_time_s, 1e-9),
            data_wait_frac=position.data_wait_s / max(position.train_time_s, 1e-9),
            peak_memory_bytes=measure_peak_memory(self.parts.device),
        )
        is_patience_over = bool(train.patience) and position.evals_since_best >= train.patience
        if is_patience_over and position.epoch < train.epochs:
            self._emit(
                "log", text=f"Stopped early: {position.evals_since_best} evaluations without a better val AUROC."
            )
        position.is_over = position.epoch >= train.epochs or is_patience_over
        position.epoch += 0 if position.is_over else 1
        position.batch, position.loss_sum, position.num_losses = 0, 0.0, 0
        self._save()

    def _evaluate(self) -> None:
        """Measure val, keep the weights when they are the best so far, and tell."""
        parts, position = self.parts, self.position
        self._collect_losses()
        self._check_weights()
        started = time.perf_counter()
        data = parts.val if self.val_rows is None else parts.val.select(self.val_rows)
        logits = predict_split(
            parts.adapted.network,
            data,
            parts.source,
            parts.transform,
            batch_size=parts.config.evaluation.batch_size,
            control=self.control,
            tell=lambda done, total: self._tell(f"evaluating val, {done} of {total} images"),
        )
        self._tell_epoch()
        if not np.isfinite(logits).all():
            raise self._not_finite_error("The model's output", position.step)
        auroc, per_label, loss = compute_val_metrics(logits, data.targets.numpy(), task=parts.task, labels=parts.labels)
        score = auroc if auroc is not None else -loss
        is_best = position.best_score is None or score > position.best_score
        if is_best:
            position.best_score, position.best_step, position.best_epoch = score, position.step, position.epoch
            save_best(parts.adapted, parts.adapter_dir)
        position.evals_since_best = 0 if is_best else position.evals_since_best + 1
        position.last_eval_step = position.step
        self._eval_time_s = time.perf_counter() - started
        self._leave_out(self._eval_time_s)
        self._emit(
            "eval",
            split="val",
            val_auroc=auroc,
            val_loss=loss,
            val_auroc_per_class=per_label,
            num_images=len(data),
            is_subset=self.val_rows is not None,
            is_best=is_best,
        )

    def _log_step(self) -> None:
        self._collect_losses()
        elapsed = time.perf_counter() - self._window_started
        loss = float(np.mean(window)) if (window := self.position.window) else None
        if self.position.first_train_loss is None:
            self.position.first_train_loss = loss
        num_batches = self._window_images / self.parts.config.train.batch_size
        self._batch_times_s.append(elapsed / max(num_batches, 1))
        lr = self.parts.optimizer.param_groups[0]["lr"] / self.parts.optimizer.param_groups[0]["lr_scale"]
        self._emit("step", loss=loss, lr=lr, images_per_s=self._window_images / max(elapsed, 1e-9))
        self.position.window = []
        self._window_started, self._window_images = time.perf_counter(), 0
        self._tell(None)

    def _collect_losses(self) -> None:
        """Fetch the losses from the device, all at once, and refuse to go on when one is not finite."""
        if not self._pending:
            return
        values = torch.stack([loss for _, loss in self._pending]).cpu().tolist()  # no .double(): MPS has none
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
        self._leave_out(self._last_checkpoint - started)

    def _note_train_time(self) -> None:
        """Book the time since the last look as training, after the device has really done it."""
        self._collect_losses()
        now = time.perf_counter()
        self.position.train_time_s += now - self._mark
        self._mark = now

    def _leave_out(self, seconds: float) -> None:
        """Keep an evaluation or a checkpoint out of the speed of training."""
        self._mark += seconds
        self._window_started += seconds

    def _tell_epoch(self) -> None:
        self._tell(f"epoch {self.position.epoch} of {self.parts.config.train.epochs}")

    def _tell(self, phase: str | None) -> None:
        epochs, position = self.parts.config.train.epochs, self.position
        eta_s = None
        if self._batch_times_s:
            left = (epochs - position.epoch + 1) * self.num_batches - position.batch
            eta_s = left * float(np.median(self._batch_times_s)) + (epochs - position.epoch + 1) * self._eval_time_s
        self.control.set_progress(
            phase=phase, epoch=position.epoch, epochs=epochs, step=position.step, num_steps=self.num_steps, eta_s=eta_s
        )

    def _emit(self, kind: str, **values: object) -> None:
        self.control.emit({"type": kind, "epoch": self.position.epoch, "step": self.position.step, **values})

    def _not_finite_error(self, what: str, step: int) -> TrainingError:
        return build_not_finite_error(what, step=step, epoch=self.position.epoch, lr=self.parts.config.optim.lr or 0.0)
