"""What a run leaves in its folder, made up but consistent: events, weights' files, predictions, figures from them."""

import functools
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.config import EvaluationConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.runs.run import Run
from medpeft_core.training.results import evaluate_stored, save_predictions

STEPS_PER_EPOCH = 20
SECONDS_PER_EPOCH = 6.0
HELD_OUT = {"val": 60, "test": 60}
EVALUATION = EvaluationConfig(bootstrap_samples=100)


def write_events(run: Run, *, epochs_done: int, quality: float, labels: tuple[str, ...]) -> None:
    """The log of whole epochs that end now: steps, an evaluation each epoch, an epoch line."""
    begin = time.time() - epochs_done * SECONDS_PER_EPOCH
    rng = np.random.default_rng(7)
    best = None
    if epochs_done:
        run.emit({"type": "status", "status": "running", "device": "cpu", "pid": os.getpid(), "time": begin})
    for epoch in range(1, epochs_done + 1):
        for number in range(1, STEPS_PER_EPOCH + 1):
            step = (epoch - 1) * STEPS_PER_EPOCH + number
            at = begin + step * SECONDS_PER_EPOCH / STEPS_PER_EPOCH
            loss = 0.25 + 0.45 * math.exp(-step / 25) + 0.02 * float(rng.standard_normal())
            speed = 95.0 + 5.0 * float(rng.standard_normal())
            run.emit(
                {
                    "type": "step",
                    "time": at,
                    "epoch": epoch,
                    "step": step,
                    "loss": loss,
                    "lr": 3e-3,
                    "images_per_s": speed,
                }
            )
        best = max(_write_evaluation(run, epoch, at, best, quality=quality, labels=labels), best or 0.0)


def _write_evaluation(
    run: Run, epoch: int, at: float, best: float | None, *, quality: float, labels: tuple[str, ...]
) -> float:
    reached = _auroc_of(quality) - (_auroc_of(quality) - 0.5) * math.exp(-epoch / 2)
    per_label = {label: min(reached + 0.02 * (k - len(labels) // 2), 0.99) for k, label in enumerate(labels)}
    macro = float(np.mean(list(per_label.values())))
    shared = {"time": at, "epoch": epoch, "step": epoch * STEPS_PER_EPOCH}
    run.emit(
        {
            "type": "eval",
            **shared,
            "split": "val",
            "val_auroc": macro,
            "val_loss": 0.3 + 0.3 * math.exp(-epoch),
            "val_auroc_per_class": per_label,
            "num_images": 400,
            "is_subset": False,
            "is_best": best is None or macro > best,
        }
    )
    run.emit(
        {
            "type": "epoch",
            **shared,
            "train_loss": 0.25 + 0.45 * math.exp(-epoch),
            "best_val_score": max(macro, best or 0.0),
            "train_images_per_s": 95.0,
            "data_wait_frac": 0.03,
            "peak_memory_bytes": 900 * 2**20,
        }
    )
    return macro


def write_weights(run: Run) -> None:
    """Files where the best weights and the checkpoint lie; their content is no model."""
    for path in (run.adapter_dir / "adapter.safetensors", run.checkpoint_dir / "state.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(300_000))
    run.log_path.write_text("The worker's own words, line 1.\nThe worker's own words, line 2.\n")


def write_results(run: Run, *, quality: float, labels: tuple[str, ...], seed: int, epochs_done: int) -> None:
    """Predictions, and metrics.json computed from them as the worker computes it."""
    origin = run.provenance()
    task, is_ordered = origin["task"], bool(origin.get("is_ordered"))
    files, figures = _make_predictions(labels, quality, seed % 5, task, is_ordered)
    run.predictions_dir.mkdir()
    for name, content in files.items():
        (run.predictions_dir / name).write_bytes(content)
    config = run.config()
    val, test = figures["val"]["macro"], figures["test"]["macro"]
    training = {
        "num_params": origin["num_params"],
        "num_trainable_params": origin["num_trainable_params"],
        "num_train_images": origin["num_train_images"],
        "num_train_patients": origin["num_train_patients"],
        "epochs_done": epochs_done,
        "steps_done": epochs_done * STEPS_PER_EPOCH,
        "best_epoch": epochs_done,
        "best_step": epochs_done * STEPS_PER_EPOCH,
        "first_train_loss": 0.69,
        "last_train_loss": 0.31,
        "train_images_per_s": 95.0,
        "data_wait_frac": 0.03,
        "wall_time_s": epochs_done * SECONDS_PER_EPOCH,
        "peak_memory_bytes": 900 * 2**20,
        "device": config.train.device,
        "device_name": "CPU",
        "precision": config.train.precision,
        "num_threads": 2,
    }
    run.save_metrics(
        {
            "schema_version": 1,
            "val_auroc": val["auroc"],
            "test_auroc": test["auroc"],
            "test_auroc_low": test["auroc_low"],
            "test_auroc_high": test["auroc_high"],
            **{f"test_{name}": figures["test"][name] for name in DECISION_METRICS if name in figures["test"]},
            "num_trainable_params": training["num_trainable_params"],
            "wall_time_s": training["wall_time_s"],
            "dataset": config.data.dataset,
            "is_synthetic": origin["is_synthetic"],
            "task": task,
            "is_ordered": is_ordered,
            "labels": list(labels),
            "notes": origin["data_notes"],
            **figures,
            "training": training,
        }
    )


@functools.cache
def _make_predictions(
    labels: tuple[str, ...], quality: float, seed: int, task: str, is_ordered: bool
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The prediction files of both splits, and the figures from them; made once for equal arguments."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save_predictions(folder, labels, quality, seed, task)
        figures = evaluate_stored(folder, labels=labels, task=task, evaluation=EVALUATION, is_ordered=is_ordered)
        return {path.name: path.read_bytes() for path in folder.iterdir()}, figures


def _draw_targets(rng: np.random.Generator, count: int, labels: tuple[str, ...], task: str) -> np.ndarray:
    """(count, K) of 0 and 1; of exclusive classes the later ones are rarer."""
    is_never = np.array([label == "Never" for label in labels])
    if task == "multiclass":
        shares = np.where(is_never, 0, 1 / np.arange(1, len(labels) + 1))
        return np.eye(len(labels))[rng.choice(len(labels), count, p=shares / shares.sum())]
    targets = (rng.random((count, len(labels))) < 0.3).astype(float)
    targets[:2] = [[1.0], [0.0]]  # both classes in each label
    targets[:, is_never] = 0.0
    return targets


def _save_predictions(folder: Path, labels: tuple[str, ...], quality: float, seed: int, task: str) -> None:
    rng = np.random.default_rng(seed)
    for split, count in HELD_OUT.items():
        targets = _draw_targets(rng, count, labels, task)
        logits = rng.standard_normal(targets.shape) + quality * targets - 1.0
        table = pd.DataFrame(
            {
                "image": [f"{split}_{row:06d}_001.png" for row in range(count)],
                "patient_id": [f"{split}-patient-{row // 2}" for row in range(count)],
                "split": split,
                **{label: targets[:, k] for k, label in enumerate(labels)},
            }
        )
        manifest = Manifest(
            dataset="phantom", task=task, labels=labels, image_root=folder, table=table, is_synthetic=True
        )
        save_predictions(folder / f"{split}.parquet", manifest, logits)


def _auroc_of(quality: float) -> float:
    """The AUROC of two normal distributions whose means differ by `quality` standard deviations."""
    return 0.5 * (1 + math.erf(quality / 2))
