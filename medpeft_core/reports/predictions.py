"""Stored predictions of a run as a table to look images up in: which to show, which label to explain. Light."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.errors import RunError
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.runs.run import Run

CASES = {
    "all": "All",
    "found": "Found",
    "wrong": "Most wrong",
    "missed": "Missed",
}
PROB_FLOOR = 1e-9  # keeps log-odds finite


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a run predicts for the images of one split, in the order of the file.

    Attributes:
        table: a row per image: `image` (its name in the manifest), `patient_id`, and for each label `prob_<label>`
            (0 to 1) and `target_<label>` (0, 1, or NaN where unknown).
        labels: the K labels.
        thresholds: label to the probability chosen on val; None where none could be chosen.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    thresholds: dict[str, float | None]

    def probs(self) -> np.ndarray:
        """(N, K) probabilities."""
        return self._matrix("prob_")

    def targets(self) -> np.ndarray:
        """(N, K) 0, 1, or NaN where unknown."""
        return self._matrix("target_")

    def _matrix(self, prefix: str) -> np.ndarray:
        return self.table[[f"{prefix}{label}" for label in self.labels]].to_numpy(dtype=np.float64)


def load_predictions(run: Run, split: str = "test") -> Predictions:
    """The stored predictions of an evaluated run.

    Args:
        run: any run; only one that was evaluated has predictions.
        split: "val" or "test".

    Raises:
        RunError: there are none yet, or the file is damaged or has other labels.
    """
    metrics = run.metrics()
    if metrics is None:
        raise RunError(f"The run {run.run_id} has no predictions yet: it was not evaluated. Wait for it, or resume it.")
    path, labels = run.predictions_dir / f"{split}.parquet", tuple(metrics["labels"])
    try:
        stored = pd.read_parquet(path)
        logits = stored[[f"logit_{label}" for label in labels]].to_numpy(dtype=np.float64)
        targets = stored[[f"target_{label}" for label in labels]].to_numpy(dtype=np.float64)
        columns: dict[str, Any] = {"image": stored["image"].astype(str), "patient_id": stored["patient_id"]}
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise RunError(
            f"The predictions {path} cannot be read: {error}. Resume the run to evaluate it again."
        ) from error
    probs = probs_from_logits(logits, metrics["task"])  # (N, K)
    columns |= {f"prob_{label}": probs[:, k] for k, label in enumerate(labels)}
    columns |= {f"target_{label}": targets[:, k] for k, label in enumerate(labels)}
    return Predictions(
        table=pd.DataFrame(columns),
        labels=labels,
        thresholds={label: metrics["thresholds"].get(label) for label in labels},
    )


def choose_labels(predictions: Predictions) -> np.ndarray:
    """(N,) number of the label to explain of each image.

    It is the most probable of the labels that are true for the image, or of all where none is known to be true.
    """
    probs, is_true = predictions.probs(), predictions.targets() == 1  # (N, K)
    has_true = is_true.any(axis=1, keepdims=True)
    return np.where(is_true | ~has_true, probs, -1.0).argmax(axis=1)


def sort_cases(predictions: Predictions, case: str, label: str | None = None) -> np.ndarray:
    """Rows of the images of one kind, those worth a look first.

    Decisions are made at the thresholds chosen on val. Images whose label or threshold is unknown are in "all" only.

    Args:
        predictions: of one split.
        case: "all" in the order of the file; "found": positive images called positive, most probable first; "missed":
            positive images called negative, least probable first; "wrong": all wrong calls, those furthest from the
            threshold, in log-odds, first.
        label: the label that is judged; None: for each image the one of `choose_labels`.

    Returns:
        (M,) row numbers, M from 0 to N.

    Raises:
        ValueError: a case or label that does not exist; a bug.
    """
    if case not in CASES:
        raise ValueError(f"There is no case {case!r}.")
    rows = np.arange(len(predictions.table))
    if case == "all" or len(rows) == 0:
        return rows
    column = choose_labels(predictions) if label is None else np.full(len(rows), predictions.labels.index(label))
    probs, targets = predictions.probs()[rows, column], predictions.targets()[rows, column]  # (N,)
    chosen = np.array([predictions.thresholds[name] for name in predictions.labels], dtype=np.float64)  # None: NaN
    threshold = chosen[column]
    is_known = ~np.isnan(targets) & ~np.isnan(threshold)
    is_called = probs >= threshold
    distance = np.abs(_log_odds(probs) - _log_odds(threshold))
    is_kept, worth = {
        "found": ((targets == 1) & is_called, probs),
        "missed": ((targets == 1) & ~is_called, -probs),
        "wrong": (is_called != (targets == 1), distance),
    }[case]
    kept = rows[is_known & is_kept]
    return kept[np.argsort(-worth[kept], kind="stable")]


def _log_odds(probs: np.ndarray) -> np.ndarray:
    clipped = np.clip(probs, PROB_FLOOR, 1 - PROB_FLOOR)
    return np.log(clipped / (1 - clipped))
