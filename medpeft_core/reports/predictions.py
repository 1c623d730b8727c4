"""Stored predictions of a run as a table to look images up in: which to show, which label to explain. Light.

Where the classes exclude each other, `class_cases.py` sorts the images; where two runs differ is told in
`disagreements.py`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.errors import RunError
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.metrics.exclusive import find_top_class
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
        thresholds: label to the probability chosen on val; None where none could be chosen, or none is used.
        task: "multilabel", or "multiclass", where the likeliest class is the answer.
    """

    table: pd.DataFrame
    labels: tuple[str, ...]
    thresholds: dict[str, float | None]
    task: str = "multilabel"

    @property
    def is_exclusive(self) -> bool:
        """Whether each image belongs to exactly one of the labels."""
        return self.task == "multiclass"

    def probs(self) -> np.ndarray:
        """(N, K) probabilities."""
        return self._matrix("prob_")

    def targets(self) -> np.ndarray:
        """(N, K) 0, 1, or NaN where unknown."""
        return self._matrix("target_")

    def called_classes(self) -> np.ndarray:
        """(N,) number of the likeliest class of each image; only where classes exclude each other."""
        return find_top_class(self.probs())

    def true_classes(self) -> np.ndarray:
        """(N,) number of the true class of each image, -1 where unknown; only where classes exclude each other."""
        is_true = self.targets() == 1  # (N, K)
        return np.where(is_true.any(axis=1), is_true.argmax(axis=1), -1)

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
        thresholds=find_thresholds(metrics),
        task=metrics["task"],
    )


def find_thresholds(metrics: dict[str, Any]) -> dict[str, float | None]:
    """Label to its threshold from val; None for all where the likeliest class is the answer."""
    if metrics["task"] == "multiclass":
        return dict.fromkeys(metrics["labels"])
    return {label: metrics["thresholds"].get(label) for label in metrics["labels"]}


def choose_labels(predictions: Predictions) -> np.ndarray:
    """(N,) number of the label to explain of each image.

    It is the most probable of the labels that are true for the image, or of all where none is known to be true; where
    classes exclude each other it is the likeliest.
    """
    if predictions.is_exclusive:
        return predictions.called_classes()
    probs, is_true = predictions.probs(), predictions.targets() == 1  # (N, K)
    has_true = is_true.any(axis=1, keepdims=True)
    return np.where(is_true | ~has_true, probs, -1.0).argmax(axis=1)


@dataclass(frozen=True, kw_only=True)
class CaseList:
    """Images of one kind, those worth a look first.

    Attributes:
        rows: (M,) their rows in the table, each at most once.
        labels: (M,) for each the number of the label that put it into the list.
    """

    rows: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def sort_cases(predictions: Predictions, label: str | None = None) -> dict[str, CaseList]:
    """For each of `CASES` its images, those worth a look first.

    Calls are made at the thresholds chosen on val. A label whose truth or threshold is unknown for an image puts it
    into "all" only; one whose threshold alone is unknown into "present" too.

    Args:
        predictions: of one split.
        label: the label that is judged; None: any label. An image is then in a list when one of its labels puts it
            there, and is looked at for the one that does so most clearly; it may be in several lists.

    Returns:
        "all": in the order of the file, each for the label of `choose_labels`. "present": the finding is there, most
        probable first. "found": it is there and was called, furthest above its threshold first. "missed": it is there
        and was not called, furthest below first. "alarm": called and not there, furthest above first. "right" and
        "wrong": calls of both kinds, furthest from the threshold first. Distances are in log-odds, so that labels with
        different thresholds can be compared.

    Raises:
        ValueError: a label that does not exist; a bug.
    """
    judged = np.arange(len(predictions.labels)) if label is None else np.array([predictions.labels.index(label)])
    probs, targets = predictions.probs()[:, judged], predictions.targets()[:, judged]  # (N, J)
    thresholds = _thresholds(predictions)[judged]  # (J,)
    is_judged = ~np.isnan(targets) & ~np.isnan(thresholds)
    is_present, is_called = targets == 1, probs >= thresholds
    margin = _log_odds(probs) - _log_odds(thresholds)  # above 0: called
    kept = {
        "present": (is_present, probs),
        "found": (is_judged & is_present & is_called, margin),
        "missed": (is_judged & is_present & ~is_called, -margin),
        "alarm": (is_judged & ~is_present & is_called, margin),
        "right": (is_judged & (is_called == is_present), np.abs(margin)),
        "wrong": (is_judged & (is_called != is_present), np.abs(margin)),
    }
    own = choose_labels(predictions) if label is None else np.repeat(judged, len(probs))
    lists = {case: _sort(is_kept, worth, judged) for case, (is_kept, worth) in kept.items()}
    return {"all": CaseList(rows=np.arange(len(probs)), labels=own), **lists}


def choose_other_label(predictions: Predictions, row: int, label: str) -> str | None:
    """The most probable label of an image that was called, other than the given one.

    Returns:
        The most probable of all others when none of them was called; None when there is no other label. Where classes
        exclude each other and the answer is wrong, it is the answer, or the truth beside the answer.
    """
    if predictions.is_exclusive:
        pair = predictions.called_classes()[row], predictions.true_classes()[row]
        others = [predictions.labels[number] for number in pair if number >= 0 and predictions.labels[number] != label]
        if others:
            return others[0]
    probs = dict(zip(predictions.labels, predictions.probs()[row], strict=True))
    others = [name for name in predictions.labels if name != label]
    limits = predictions.thresholds
    called = [name for name in others if (limit := limits[name]) is not None and probs[name] >= limit]
    return max(called or others, key=lambda name: probs[name], default=None)


def _sort(is_kept: np.ndarray, worth: np.ndarray, labels: np.ndarray) -> CaseList:
    """From (N, J) each: the rows with a label that is kept, each for its worthiest one, worthiest first."""
    best = np.where(is_kept, worth, -np.inf)  # (N, J)
    rows = np.flatnonzero(is_kept.any(axis=1))
    column = best[rows].argmax(axis=1)
    order = np.argsort(-best[rows, column], kind="stable")
    return CaseList(rows=rows[order], labels=labels[column[order]])


def _thresholds(predictions: Predictions) -> np.ndarray:
    """(K,) NaN where there is none."""
    return np.array([predictions.thresholds[name] for name in predictions.labels], dtype=np.float64)


def _log_odds(probs: np.ndarray) -> np.ndarray:
    clipped = np.clip(probs, PROB_FLOOR, 1 - PROB_FLOOR)
    return np.log(clipped / (1 - clipped))
