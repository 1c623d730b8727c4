"""Predictions as files, and a run's figures computed from these files, never from memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.config import EvaluationConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.errors import RunError
from medpeft_core.metrics.evaluate import evaluate_predictions, probs_from_logits
from medpeft_core.metrics.thresholds import find_thresholds
from medpeft_core.paths import ensure_dir, write_atomically

BOOTSTRAP_SEED = 20240121  # fixed: the interval of stored predictions is the same whenever it is computed


def save_predictions(path: Path, manifest: Manifest, logits: np.ndarray) -> None:
    """Write a row per image: image, patient_id (pseudonym), `target_<label>` and `logit_<label>`."""
    targets = manifest.targets()
    columns: dict[str, Any] = {"image": manifest.table["image"], "patient_id": manifest.table["patient_id"]}
    for index, label in enumerate(manifest.labels):
        columns[f"target_{label}"] = targets[:, index]
    for index, label in enumerate(manifest.labels):
        columns[f"logit_{label}"] = logits[:, index]
    table = pd.DataFrame(columns)
    ensure_dir(path.parent)
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))


def load_predictions(path: Path, labels: tuple[str, ...]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """What `save_predictions` wrote.

    Returns:
        The table, logits (N, K) and targets (N, K) with NaN for unknown.

    Raises:
        RunError: the file is missing, damaged, or has other labels.
    """
    try:
        table = pd.read_parquet(path)
        logits = table[[f"logit_{label}" for label in labels]].to_numpy(dtype=np.float64)
        targets = table[[f"target_{label}" for label in labels]].to_numpy(dtype=np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            f"The predictions {path} cannot be read: {error}. Resume the run to evaluate it again."
        ) from error
    return table, logits, targets


def evaluate_stored(
    folder: Path, *, labels: tuple[str, ...], task: str, evaluation: EvaluationConfig, is_ordered: bool = False
) -> dict[str, Any]:
    """Figures of val and test from the stored predictions, with thresholds chosen on val (Youden 1950).

    Classes that exclude each other have none: the likeliest one is the answer.

    Args:
        folder: of the predictions.
        labels: the K names.
        task: "multilabel" or "multiclass".
        evaluation: number of resamplings and level of the intervals.
        is_ordered: the classes of a "multiclass" task are grades.

    Returns:
        {"thresholds": label -> number or None, "val": ..., "test": ...}, each as `evaluate_predictions` gives it.
    """
    loaded = {name: load_predictions(folder / f"{name}.parquet", labels) for name in ("val", "test")}
    _, val_logits, val_targets = loaded["val"]
    thresholds: dict[str, float | None] = dict.fromkeys(labels)
    if task == "multilabel":
        thresholds = find_thresholds(probs_from_logits(val_logits, task), val_targets, labels)
    result: dict[str, Any] = {"thresholds": thresholds}
    for name, (table, logits, targets) in loaded.items():
        # pseudonyms differ from home to home, and with them the resamplings; first image names do not
        has_patients = table["patient_id"].notna().all()
        patients = table.groupby("patient_id")["image"].transform("min") if has_patients else table["image"]
        result[name] = evaluate_predictions(
            probs_from_logits(logits, task),
            targets,
            patients.to_numpy(dtype=str),
            labels,
            task,
            thresholds=thresholds,
            bootstrap_samples=evaluation.bootstrap_samples,
            confidence=evaluation.confidence,
            seed=BOOTSTRAP_SEED,
            is_ordered=is_ordered,
        )
    return result
