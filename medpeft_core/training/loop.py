"""The one training loop, for every method and backbone. It emits events; it knows no user interface."""

import time

import numpy as np
import torch

from medpeft_core.errors import TrainingError
from medpeft_core.training.best import save_best
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import Control
from medpeft_core.training.device import autocast
from medpeft_core.training.epochs import EpochLoop
from medpeft_core.training.evaluate import (
    MAX_LIVE_LABELS,
    choose_val_rows,
    compute_val_metrics,
    describe_left_out,
    predict_split,
)
from medpeft_core.training.loss import build_not_finite_error, compute_loss
from medpeft_core.training.optim import Schedule
from medpeft_core.training.parts import LoopParts


class TrainingLoop(EpochLoop):
    """Fits the labels of the training split and evaluates val as it goes."""

    def __init__(self, parts: LoopParts, position: Position, control: Control, *, started: float | None = None) -> None:
        optim = parts.config.optim
        schedule = Schedule(
            peak_lr=optim.lr or 0.0,
            min_lr=optim.min_lr,
            warmup_epochs=optim.warmup_epochs,
            clip_norm=optim.clip_norm,
        )
        super().__init__(parts, schedule, position, control, started=started)
        self.parts = parts
        self.targets = parts.train.targets.to(parts.device)
        self.val_rows = choose_val_rows(len(parts.val), parts.config)

    def prepare_batch(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """The targets (B, K) of a batch."""
        return self.targets[torch.from_numpy(rows).to(self.parts.device, non_blocking=True)]

    def compute_batch_loss(self, images: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        parts = self.parts
        with autocast(parts.device, parts.precision):
            logits = parts.forward(images)
        loss = compute_loss(logits, extra, task=parts.task, class_weights=parts.class_weights)
        penalty = parts.adapted.compute_penalty()
        return loss if penalty is None else loss + penalty

    def do_what_is_due(self) -> None:
        """Evaluate val every so many steps, where that was asked for."""
        position, every = self.position, self.parts.config.train.eval_every
        is_due = bool(every) and position.step > 0 and (position.step % every == 0 or position.step == self.num_steps)
        if is_due and position.last_eval_step != position.step:
            self._evaluate()
            self.parts.adapted.set_train_mode()

    def before_epoch_ends(self) -> None:
        if not self.parts.config.train.eval_every and self.position.last_eval_step != self.position.step:
            self._evaluate()

    def end_epoch(self, mean_loss: float) -> bool:
        position, train = self.position, self.parts.config.train
        self.emit("epoch", best_val_score=position.best_score, **self.describe_epoch(mean_loss))
        is_patience_over = bool(train.patience) and position.evals_since_best >= train.patience
        if is_patience_over and position.epoch < train.epochs:
            self.emit("log", text=f"Stopped early: {position.evals_since_best} evaluations without a better val AUROC.")
        return position.epoch >= train.epochs or is_patience_over

    def build_error(self, what: str, step: int) -> TrainingError:
        return build_not_finite_error(what, step=step, epoch=self.position.epoch, lr=self.parts.config.optim.lr or 0.0)

    def _evaluate(self) -> None:
        """Measure val, keep the weights when they are the best so far, and tell."""
        parts, position = self.parts, self.position
        self.collect_losses()
        self.check_weights()
        started = time.perf_counter()
        data = parts.val if self.val_rows is None else parts.val.select(self.val_rows)
        logits = predict_split(
            parts.predictor,
            data,
            parts.source,
            parts.transform,
            batch_size=parts.config.evaluation.batch_size,
            control=self.control,
            tell=lambda done, total: self.tell(f"evaluating val, {done} of {total} images"),
        )
        self.tell_epoch()
        if not np.isfinite(logits).all():
            raise self.build_error("The model's output", position.step)
        auroc, per_label, loss = compute_val_metrics(logits, data.targets.numpy(), task=parts.task, labels=parts.labels)
        score = auroc if auroc is not None else -loss
        if position.best_score is None and (note := describe_left_out(per_label)):
            self.emit("log", text=note)
        is_best = position.best_score is None or score > position.best_score
        if is_best:
            position.best_score, position.best_step, position.best_epoch = score, position.step, position.epoch
            save_best(parts.adapted, parts.adapter_dir)
        position.evals_since_best = 0 if is_best else position.evals_since_best + 1
        position.last_eval_step = position.step
        self.extra_epoch_s = time.perf_counter() - started
        self.leave_out(self.extra_epoch_s)
        self.emit(
            "eval",
            split="val",
            val_auroc=auroc,
            val_loss=loss,
            val_auroc_per_class=per_label if len(per_label) <= MAX_LIVE_LABELS else {},
            num_images=len(data),
            is_subset=self.val_rows is not None,
            is_best=is_best,
        )
