"""Stored predictions of a run as a table to look images up in: which to show, which label to explain. Light.

Where two runs differ is told in `disagreements.py`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.errors import RunError
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.runs.run import Run

CASES = {
    "all": "All test images",
    "present": "With the finding",
    "found": "Findings found",
    "missed": "Findings missed",
    "alarm": "False alarms",
    "right": "Most certain and right",
    "wrong": "Most certain and wrong",
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
    """Rows of the images of one kind, those worth a look first; see `sort_all_cases`.

    Raises:
        ValueError: a case or label that does not exist; a bug.
    """
    if case not in CASES:
        raise ValueError(f"There is no case {case!r}.")
    return sort_all_cases(predictions, label)[case]


def sort_all_cases(predictions: Predictions, label: str | None = None) -> dict[str, np.ndarray]:
    """For each of `CASES` the rows of its images, those worth a look first.

    Calls are made at the thresholds chosen on val. Images whose label or threshold is unknown are in "all" only; those
    whose threshold alone is unknown in "present" too.

    Args:
        predictions: of one split.
        label: the label that is judged; None: for each image the one of `choose_labels`.

    Returns:
        Row numbers, (M,) each with M from 0 to N. "all": in the order of the file. "present": images with the finding,
        most probable first. "found": of these the ones that were called, most probable first. "missed": those that were
        not, least probable first. "alarm": called without the finding, most probable first. "right" and "wrong": calls
        of both kinds, those furthest from the threshold, in log-odds, first.

    Raises:
        ValueError: a label that does not exist; a bug.
    """
    rows = np.arange(len(predictions.table))
    if len(rows) == 0:
        return dict.fromkeys(CASES, rows)
    column = choose_labels(predictions) if label is None else np.full(len(rows), predictions.labels.index(label))
    probs, targets = predictions.probs()[rows, column], predictions.targets()[rows, column]  # (N,)
    threshold = _thresholds(predictions)[column]
    is_judged = ~np.isnan(targets) & ~np.isnan(threshold)
    is_present, is_called = targets == 1, probs >= threshold
    distance = np.abs(_log_odds(probs) - _log_odds(threshold))
    kept = {
        "present": (is_present, probs),
        "found": (is_judged & is_present & is_called, probs),
        "missed": (is_judged & is_present & ~is_called, -probs),
        "alarm": (is_judged & ~is_present & is_called, probs),
        "right": (is_judged & (is_called == is_present), distance),
        "wrong": (is_judged & (is_called != is_present), distance),
    }
    return {"all": rows, **{case: _sort(rows[is_kept], worth) for case, (is_kept, worth) in kept.items()}}


def _sort(rows: np.ndarray, worth: np.ndarray) -> np.ndarray:
    return np.asarray(rows[np.argsort(-worth[rows], kind="stable")])


def _thresholds(predictions: Predictions) -> np.ndarray:
    """(K,) NaN where there is none."""
    return np.array([predictions.thresholds[name] for name in predictions.labels], dtype=np.float64)


def _log_odds(probs: np.ndarray) -> np.ndarray:
    clipped = np.clip(probs, PROB_FLOOR, 1 - PROB_FLOOR)
    return np.log(clipped / (1 - clipped))
