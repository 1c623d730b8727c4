"""Everything that is reported about a split, from its predictions alone, ready for metrics.json."""

import math
from typing import Any

import numpy as np

from medpeft_core.errors import MetricError
from medpeft_core.metrics.auprc import compute_average_precision
from medpeft_core.metrics.auroc import compute_auroc
from medpeft_core.metrics.bootstrap import (
    BootstrapResult,
    Interval,
    bootstrap_intervals,
    number_patients,
    percentile_interval,
)
from medpeft_core.metrics.classification import compute_confusion
from medpeft_core.metrics.exclusive import (
    CLASS_MEANS,
    DECISION_METRICS,
    ClassSums,
    bootstrap_decisions,
    compute_decisions,
    count_classes,
    find_top_class,
)

TASKS = ("multilabel", "multiclass")
INTERVAL_KIND = "patient-level bootstrap, percentile"
MAX_CONFUSION_CLASSES = 200  # the matrix of more would make metrics.json slow to read; the predictions hold it


def probs_from_logits(logits: np.ndarray, task: str) -> np.ndarray:
    """(N, K) probabilities of (N, K) logits: a sigmoid each for "multilabel", a softmax over K for "multiclass".

    Computed in float64, so that large logits neither overflow nor become equal before they must.

    Raises:
        MetricError: an unknown task.
    """
    _check_task(task)
    logits = np.asarray(logits, dtype=np.float64)
    return _sigmoid(logits) if task == "multilabel" else _softmax(logits)


def evaluate_predictions(
    probs: np.ndarray,
    targets: np.ndarray,
    patients: np.ndarray,
    labels: tuple[str, ...],
    task: str,
    *,
    thresholds: dict[str, float | None] | None,
    bootstrap_samples: int,
    confidence: float,
    seed: int,
    is_ordered: bool = False,
) -> dict[str, Any]:
    """Metrics of each class against all others, and their means, with intervals.

    For "multiclass" the likeliest class is the answer, and no threshold is used: sensitivity, specificity and F1 of a
    class are those of this answer, and accuracy, macro_f1, weighted_f1, balanced_accuracy and quadratic_kappa, each
    with its `_low` and `_high`, and `confusion` are added: rows are true classes, columns predicted ones, in the order
    of the labels; None above `MAX_CONFUSION_CLASSES` classes. `num_valid_samples` is how many resamplings hold every
    class that occurs; the intervals of macro_f1 and balanced_accuracy rest on these alone, and where they are less than
    half of all, these two have none and `reason` says so.

    Args:
        probs: (N, K) probabilities.
        targets: (N, K) 0, 1 or NaN where the label is unknown; for "multiclass" one-hot rows.
        patients: (N,) ids; the id of the image where patients are not known.
        labels: the K names; the positive class of each metric is the one named.
        task: "multilabel" or "multiclass".
        thresholds: label to the threshold chosen on val, None where none could be chosen; None altogether leaves
            out the metrics that need one.
        bootstrap_samples: resamplings of the patients; 0 leaves out the intervals.
        confidence: level of the intervals, such as 0.95.
        seed: of the resampling.
        is_ordered: the classes are grades, the mildest first; else the quadratic kappa is None.

    Returns:
        A dict that is JSON: a number that has no meaning is None, and `reason` says why.

    Raises:
        MetricError: shapes differ, a probability is NaN, a target is impossible, or there are no images.
    """
    probs, targets = np.asarray(probs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    _check_predictions(probs, targets, labels, task)
    num_patients = number_patients(patients, len(probs))[1]
    intervals = None
    if bootstrap_samples > 0:
        intervals = bootstrap_intervals(
            probs, targets, patients, num_samples=bootstrap_samples, confidence=confidence, seed=seed
        )
    chosen = thresholds if thresholds is not None and task == "multilabel" else {}
    per_class = {
        label: _evaluate_class(probs[:, k], targets[:, k], chosen.get(label), _intervals_of(intervals, k))
        for k, label in enumerate(labels)
    }
    result = {
        "task": task,
        "num_images": len(probs),
        "num_patients": num_patients,
        "confidence": confidence,
        "bootstrap_samples": bootstrap_samples,
        "interval": INTERVAL_KIND,
        "macro": _average(per_class, intervals.macro if intervals else {}),
        "per_class": per_class,
    }
    if task == "multiclass":
        result |= _evaluate_top_class(
            probs,
            targets,
            np.asarray(patients, dtype=object),
            per_class,
            num_samples=bootstrap_samples,
            confidence=confidence,
            seed=seed,
            is_ordered=is_ordered,
        )
    return result


def _evaluate_class(
    probs: np.ndarray, targets: np.ndarray, threshold: float | None, intervals: dict[str, Interval]
) -> dict[str, Any]:
    known = ~np.isnan(targets)
    probs, targets = probs[known], targets[known]
    num_positive = int(targets.sum())
    num_negative = len(targets) - num_positive
    reason = _find_reason(num_positive, num_negative)
    usable = intervals if reason is None else {}
    decisions = None if threshold is None or math.isnan(threshold) else compute_confusion(probs, targets, threshold)
    return {
        "auroc": _as_number(compute_auroc(probs, targets)),
        **_ends("low", "high", usable.get("auroc")),
        "auprc": None if reason else _as_number(compute_average_precision(probs, targets)),
        **_ends("auprc_low", "auprc_high", usable.get("auprc")),
        "num_valid_samples": usable["auroc"].num_valid_samples if usable else 0,
        "num_positive": num_positive,
        "num_negative": num_negative,
        "num_unknown": int((~known).sum()),
        "prevalence": num_positive / len(targets) if len(targets) else None,
        "threshold": None if decisions is None else threshold,
        "sensitivity": _as_number(decisions.sensitivity) if decisions else None,
        "specificity": _as_number(decisions.specificity) if decisions else None,
        "f1": _as_number(decisions.f1) if decisions else None,
        "reason": reason,
    }


def _average(per_class: dict[str, dict[str, Any]], intervals: dict[str, Interval]) -> dict[str, Any]:
    used = [values for values in per_class.values() if values["reason"] is None]
    return {
        "auroc": float(np.mean([values["auroc"] for values in used])) if used else None,
        **_ends("auroc_low", "auroc_high", intervals.get("auroc")),
        "auprc": float(np.mean([values["auprc"] for values in used])) if used else None,
        **_ends("auprc_low", "auprc_high", intervals.get("auprc")),
        "num_valid_samples": intervals["auroc"].num_valid_samples if intervals else 0,
        "num_labels": len(used),
        "labels_left_out": {label: values["reason"] for label, values in per_class.items() if values["reason"]},
    }


def _evaluate_top_class(
    probs: np.ndarray,
    targets: np.ndarray,
    patients: np.ndarray,
    per_class: dict[str, dict[str, Any]],
    *,
    num_samples: int,
    confidence: float,
    seed: int,
    is_ordered: bool,
) -> dict[str, Any]:
    """What taking the likeliest class gives over all classes; that of each class is written into `per_class`."""
    known = ~np.isnan(targets).any(axis=1)
    true, predicted = np.argmax(targets[known], axis=1), find_top_class(probs[known])
    num_classes = len(per_class)
    sums = compute_decisions(true, predicted, num_classes)
    for name in ("sensitivity", "specificity", "f1"):
        for figures, value in zip(per_class.values(), getattr(sums, name)()[0], strict=True):
            figures[name] = _as_number(value)
    samples: dict[str, np.ndarray] = {}
    if num_samples > 0 and len(true):
        samples = bootstrap_decisions(true, predicted, num_classes, patients[known], num_samples=num_samples, seed=seed)
    is_small = num_classes <= MAX_CONFUSION_CLASSES
    return {
        "is_ordered": is_ordered,
        **_describe_decisions(sums, samples, confidence, is_ordered=is_ordered),
        **_count_whole(samples),
        "confusion": count_classes(true, predicted, num_classes).tolist() if is_small else None,
    }


def _describe_decisions(
    sums: ClassSums, samples: dict[str, np.ndarray], confidence: float, *, is_ordered: bool
) -> dict[str, float | None]:
    """Each of `DECISION_METRICS` with its interval."""
    described: dict[str, float | None] = {}
    for name in DECISION_METRICS:
        if name == "quadratic_kappa" and not is_ordered:
            described |= {name: None, **_ends(f"{name}_low", f"{name}_high", None)}
            continue
        has_interval = name in samples and not (name in CLASS_MEANS and _count_whole(samples)["reason"])
        interval = percentile_interval(samples[name], confidence) if has_interval else None
        described |= {
            name: _as_number(getattr(sums, name)()[0]),
            **_ends(f"{name}_low", f"{name}_high", interval),
        }
    return described


def _count_whole(samples: dict[str, np.ndarray]) -> dict[str, Any]:
    """How many resamplings the means over the classes could be counted in, and why these have no interval, or None."""
    if not samples:
        return {"num_valid_samples": 0, "reason": None}
    values = samples[CLASS_MEANS[0]]
    num_valid = int((~np.isnan(values)).sum())
    is_short = 2 * num_valid < len(values)
    reason = f"only {num_valid:,} of {len(values):,} resamplings held every class" if is_short else None
    return {"num_valid_samples": num_valid, "reason": reason}


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """Without overflow on either side; SciPy's own takes a third of a second to import."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1 + small)


def _softmax(logits: np.ndarray) -> np.ndarray:
    parts = np.exp(logits - logits.max(axis=1, keepdims=True))
    return parts / parts.sum(axis=1, keepdims=True)


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise MetricError(f"task is {task!r}, but it must be one of {', '.join(TASKS)}.")


def _check_predictions(probs: np.ndarray, targets: np.ndarray, labels: tuple[str, ...], task: str) -> None:
    _check_task(task)
    if probs.ndim != 2 or probs.shape != targets.shape or probs.shape[1] != len(labels):
        raise MetricError(
            f"probs have shape {probs.shape} and targets {targets.shape}, but both must be (N, {len(labels)}): "
            f"a column for each of the {len(labels)} labels."
        )
    if len(probs) == 0:
        raise MetricError("There are no images to evaluate. Check that the split is not empty.")
    for label, is_bad in zip(labels, np.isnan(probs).any(axis=0), strict=True):
        if is_bad:
            raise MetricError(
                f"Some probabilities of {label!r} are NaN. The model is broken: lower optim.lr and train again."
            )
    known = ~np.isnan(targets)
    if not np.isin(targets[known], (0, 1)).all():
        raise MetricError("Some targets are neither 0, 1 nor missing. Check the reader of the data set.")
    is_whole = known.all(axis=1)
    if task == "multiclass" and not (
        (targets[is_whole].sum(axis=1) == 1).all() and (is_whole | ~known.any(axis=1)).all()
    ):
        raise MetricError(
            "Some images belong to no class or to several, but in a multiclass task each belongs to exactly one."
        )


def _find_reason(num_positive: int, num_negative: int) -> str | None:
    if num_positive + num_negative == 0:
        return "no image with a known label in this split"
    if num_positive == 0:
        return "no positive image in this split"
    return "no negative image in this split" if num_negative == 0 else None


def _intervals_of(result: BootstrapResult | None, k: int) -> dict[str, Interval]:
    return {} if result is None else {name: intervals[k] for name, intervals in result.per_class.items()}


def _ends(low_name: str, high_name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {low_name: None, high_name: None}
    return {low_name: _as_number(interval.low), high_name: _as_number(interval.high)}


def _as_number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
