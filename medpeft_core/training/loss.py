"""Training losses that leave unknown labels out, and class weights from counts."""

import torch
import torch.nn.functional as F

from medpeft_core.errors import TrainingError

MAX_CLASS_WEIGHT = 100.0


def compute_loss(
    logits: torch.Tensor, targets: torch.Tensor, *, task: str, class_weights: torch.Tensor | None
) -> torch.Tensor:
    """Mean loss over what is known.

    Args:
        logits: (B, K).
        targets: (B, K) with 0, 1 or NaN; NaN counts nowhere. For "multiclass" exactly one 1 in a row.
        task: "multilabel" (binary cross-entropy) or "multiclass" (cross-entropy).
        class_weights: (K,) factor on the positives of each label, or on each class; None for none.

    Returns:
        A scalar; 0 with a gradient of 0 when nothing in the batch is known.
    """
    logits = logits.float()  # bf16 would round the loss
    if task == "multiclass":
        return F.cross_entropy(logits, targets.nan_to_num().argmax(dim=1), weight=class_weights)
    known = ~torch.isnan(targets)
    filled = torch.where(known, targets, torch.zeros_like(targets))
    losses = F.binary_cross_entropy_with_logits(logits, filled, pos_weight=class_weights, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def build_not_finite_error(what: str, *, step: int, epoch: int, lr: float) -> TrainingError:
    """The error of a training that has left the finite numbers; `what` did so in optimizer step `step`, from 1."""
    return TrainingError(
        f"{what} is no longer a finite number at step {step} (epoch {epoch}). The learning rate of {lr:g} is probably "
        f"too high: train again with --lr {lr / 10:g}. The last good checkpoint and the best weights are kept."
    )


def compute_class_weights(targets: torch.Tensor, task: str) -> torch.Tensor:
    """Weights that make rare classes count as much as frequent ones.

    Args:
        targets: (N, K) of the training set, NaN for unknown.

    Returns:
        (K,) for "multilabel" negatives over positives of each label, for "multiclass" N / (K n_k); between 1/100 and
        100, and 1 for a label without positives or negatives.
    """
    positives = torch.nansum(targets, dim=0)
    known = (~torch.isnan(targets)).sum(dim=0)
    negatives = known - positives
    if task == "multiclass":
        weights = known / (targets.shape[1] * positives.clamp(min=1))
    else:
        weights = negatives / positives.clamp(min=1)
    is_usable = (positives > 0) & (negatives > 0)
    return (
        torch.where(is_usable, weights, torch.ones_like(weights)).clamp(1 / MAX_CLASS_WEIGHT, MAX_CLASS_WEIGHT).float()
    )
