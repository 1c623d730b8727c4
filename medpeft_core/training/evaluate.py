"""Logits of a whole split, and the metrics that are drawn while training goes on."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from medpeft_core.config import RunConfig
from medpeft_core.metrics.auroc import compute_auroc
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.training.augment import Transform
from medpeft_core.training.control import Control
from medpeft_core.training.data import BatchSource, SplitData
from medpeft_core.training.loss import compute_loss

MAX_LIVE_LABELS = 200  # with a live figure each; the events of more would make the log slow to read
MAX_NAMED = 10


class Stopped(Exception):  # noqa: N818  (not an error: somebody asked for it)
    """Somebody asked the run to stop; what was done so far is safe on disk."""


def predict_split(
    network: nn.Module,
    data: SplitData,
    source: BatchSource,
    transform: Transform,
    *,
    batch_size: int,
    control: Control,
    tell: Callable[[int, int], None],
) -> np.ndarray:
    """Logits (N, K) float32 of a split, in full precision, so that one image alone gives the same numbers.

    Leaves the network in eval mode. `tell` gets the images done and all images before every forward pass.

    Raises:
        Stopped: a stop was asked for.
    """
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(data), batch_size):
            if control.should_stop():
                raise Stopped
            tell(start, len(data))
            pixels, sizes = source.batch(data.cache_rows[start : start + batch_size])
            parts.append(network(transform.plain(pixels, sizes)).float())
    return torch.cat(parts).cpu().numpy()


def choose_val_rows(num_images: int, config: RunConfig) -> np.ndarray | None:
    """With evaluations by step: a fixed random subset of a large val split; None means all of it."""
    limit = config.evaluation.max_val_images
    if not config.train.eval_every or num_images <= limit:
        return None
    return np.sort(np.random.default_rng([config.train.seed, limit]).permutation(num_images)[:limit])


def compute_val_metrics(
    logits: np.ndarray, targets: np.ndarray, *, task: str, labels: tuple[str, ...]
) -> tuple[float | None, dict[str, float | None], float]:
    """What a live curve shows.

    Returns:
        The mean AUROC over the labels where it exists (None when there is none), AUROC by label, and the loss.
    """
    loss = float(compute_loss(torch.from_numpy(logits), torch.from_numpy(targets), task=task, class_weights=None))
    scores = logits.astype(np.float64) if task == "multilabel" else probs_from_logits(logits, task)
    per_label: dict[str, float | None] = {}
    for index, label in enumerate(labels):
        known = ~np.isnan(targets[:, index])
        value = compute_auroc(scores[known, index], targets[known, index]) if known.any() else float("nan")
        per_label[label] = None if np.isnan(value) else float(value)
    defined = [value for value in per_label.values() if value is not None]
    return (float(np.mean(defined)) if defined else None), per_label, loss


def describe_left_out(per_label: dict[str, float | None]) -> str | None:
    """Which labels the mean val AUROC cannot count, as a sentence; None when it counts all.

    Args:
        per_label: AUROC by label, as `compute_val_metrics` gives it.
    """
    missing = [label for label, value in per_label.items() if value is None]
    if not missing:
        return None
    named = ", ".join(missing[:MAX_NAMED]) + (f" and {len(missing) - MAX_NAMED} more" * (len(missing) > MAX_NAMED))
    if len(missing) == len(per_label):
        return "No label has both positive and negative val images: the weights are chosen by the val loss."
    return (
        f"The val AUROC leaves out {len(missing)} of {len(per_label)} labels, of which val has no positive or no "
        f"negative image: {named}."
    )
