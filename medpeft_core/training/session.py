"""One run from its folder to its figures: data, model, training, final evaluation. Called by the worker."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.runs.run import Run
from medpeft_core.training.best import load_best, mend_best
from medpeft_core.training.build import build_loop_parts, build_model
from medpeft_core.training.control import Control
from medpeft_core.training.data import BatchSource, PixelSource, SplitData, split_data
from medpeft_core.training.device import describe_device, measure_peak_memory, use_device
from medpeft_core.training.evaluate import Stopped, predict_split
from medpeft_core.training.features import open_features
from medpeft_core.training.loop import TrainingLoop
from medpeft_core.training.opening import prepare_data, restore_position, tell_count
from medpeft_core.training.parts import LoopParts
from medpeft_core.training.results import evaluate_stored, save_predictions

METRICS_VERSION = 1


def train_run(run: Run, control: Control) -> str:
    """Train a run from where its folder stands to its end.

    Returns:
        "finished", or "stopped" when somebody asked for it; the folder then holds an exact checkpoint.

    Raises:
        MedPeftError: the run cannot start or go on; says why.
    """
    started = time.perf_counter()
    config = run.config()
    use_device(config.train.device, cpu_threads=config.train.cpu_threads)
    try:
        prepared = prepare_data(run, config.data, control)
        control.set_progress(phase="building the model")
        built = build_model(config, num_classes=len(prepared.manifest.labels))
        splits = split_data(prepared, config.data)
        source: BatchSource
        if config.train.cached_features:
            source = open_features(config, built, prepared, control)
        else:
            source = PixelSource(prepared.cache, config.train.device)
        parts = build_loop_parts(
            config,
            built,
            splits=splits,
            source=source,
            task=prepared.manifest.task,
            labels=prepared.manifest.labels,
            checkpoint_dir=run.checkpoint_dir,
            adapter_dir=run.adapter_dir,
        )
        mend_best(run.adapter_dir)
        position = restore_position(parts, run, control)
        loop = TrainingLoop(parts, position, control, started=started)
        loop.fit()
        _evaluate_best(run, prepared, parts, splits, loop)
    except Stopped:
        return "stopped"
    return "finished"


def _evaluate_best(
    run: Run, prepared: PreparedData, parts: LoopParts, splits: dict[str, SplitData], loop: TrainingLoop
) -> None:
    """Measure the best weights on val and, once, on test; predictions are stored first, figures come from them."""
    load_best(parts.adapted, parts.adapter_dir)
    logits: dict[str, np.ndarray] = {}
    for name in ("val", "test"):
        logits[name] = predict_split(
            parts.predictor,
            splits[name],
            parts.source,
            parts.transform,
            batch_size=parts.config.evaluation.batch_size,
            control=loop.control,
            tell=_evaluation_teller(loop.control, name),
        )
    for name, values in logits.items():
        save_predictions(run.predictions_dir / f"{name}.parquet", splits[name].manifest, values)
    loop.control.set_progress(phase="computing intervals")
    manifest = prepared.manifest
    figures = evaluate_stored(
        run.predictions_dir,
        labels=parts.labels,
        task=parts.task,
        evaluation=parts.config.evaluation,
        is_ordered=manifest.is_ordered,
    )
    training = describe_training(parts, loop, splits["train"])
    run.save_metrics(
        {
            "schema_version": METRICS_VERSION,
            **summarise_figures(figures, training),
            "dataset": manifest.dataset,
            "is_synthetic": manifest.is_synthetic,
            "task": manifest.task,
            "is_ordered": manifest.is_ordered,
            "labels": list(manifest.labels),
            "notes": list(manifest.notes),
            **figures,
            "training": training,
        }
    )


def _evaluation_teller(control: Control, split: str) -> Callable[[int, int], None]:
    began = time.monotonic()

    def tell(done: int, total: int) -> None:
        tell_count(control, f"evaluating {split}, {done} of {total} images", done / total, began)

    return tell


def summarise_figures(figures: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """The few numbers that lists of runs show, at the top of metrics.json."""
    val, test = figures["val"]["macro"], figures["test"]["macro"]
    return {
        "val_auroc": val["auroc"],
        "test_auroc": test["auroc"],
        "test_auroc_low": test["auroc_low"],
        "test_auroc_high": test["auroc_high"],
        **{f"test_{name}": figures["test"][name] for name in DECISION_METRICS if name in figures["test"]},
        "num_trainable_params": training["num_trainable_params"],
        "wall_time_s": training["wall_time_s"],
    }


def describe_training(parts: LoopParts, loop: TrainingLoop, train: SplitData) -> dict[str, Any]:
    """What training took and gave, for metrics.json."""
    position = loop.position
    return {
        "num_params": parts.adapted.num_params(),
        "num_trainable_params": parts.adapted.num_trainable_params(),
        "adapter_bytes": sum(item.stat().st_size for item in parts.adapter_dir.iterdir() if item.is_file()),
        "num_train_images": len(train),
        "num_train_patients": len(set(train.manifest.patient_ids)) if train.manifest.has_patients else None,
        "epochs_done": position.epochs_done,
        "steps_done": position.step,
        "best_epoch": position.best_epoch,
        "best_step": position.best_step,
        "first_train_loss": position.first_train_loss,
        "last_train_loss": position.last_train_loss,
        "train_images_per_s": position.train_images / position.train_time_s if position.train_time_s else None,
        "data_wait_frac": position.data_wait_s / position.train_time_s if position.train_time_s else None,
        "wall_time_s": loop.wall_time_s(),
        "peak_memory_bytes": measure_peak_memory(parts.device),
        "device": parts.device,
        "device_name": describe_device(parts.device),
        "precision": parts.precision,
        "num_threads": torch.get_num_threads(),
    }
