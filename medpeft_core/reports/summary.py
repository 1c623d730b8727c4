"""One run as a flat dict, from its files: what `train --json`, `show --json` and `compare --json` give. Light."""

from typing import Any

from medpeft_core.runs.run import Run

TRAINING_KEYS = (
    "num_params",
    "num_trainable_params",
    "first_train_loss",
    "last_train_loss",
    "train_images_per_s",
    "wall_time_s",
    "peak_memory_bytes",
)


def summarise_result(run: Run) -> dict[str, Any]:
    """What a run did and found; a number that does not exist (yet) is None.

    Returns:
        run_id, run_dir, status, error, epochs_done, val_auroc, test_auroc with its interval, `per_class` (label to
        auroc, low, high, num_positive, num_negative, on test), the sizes, losses, speed and memory of training, and
        what was trained.
    """
    state, config, metrics = run.state(), run.config(), run.metrics() or {}
    training = metrics.get("training", {})
    provenance = run.provenance()
    live = {} if training else summarise_history(run.history())  # a finished run has it all in metrics.json
    test = metrics.get("test", {}).get("per_class", {})
    per_class = {
        label: {key: figures[key] for key in ("auroc", "low", "high", "num_positive", "num_negative")}
        for label, figures in test.items()
    }
    return {
        "run_id": run.run_id,
        "run_dir": str(run.folder),
        "status": state.status,
        "error": state.error,
        "dataset": config.data.dataset,
        "is_synthetic": provenance.get("is_synthetic"),
        "data_notes": provenance.get("data_notes", []),
        "fraction": config.data.fraction,
        "backbone": config.backbone.name,
        "weights": config.backbone.weights,
        "method": config.method.name,
        "knobs": config.method.knobs,
        "seed": config.train.seed,
        "device": config.train.device,
        "precision": config.train.precision,
        "epochs_done": training.get("epochs_done", live.get("epochs_done")),
        "val_auroc": metrics.get("val_auroc", live.get("best_val_auroc")),
        "test_auroc": metrics.get("test_auroc"),
        "test_auroc_low": metrics.get("test_auroc_low"),
        "test_auroc_high": metrics.get("test_auroc_high"),
        "per_class": per_class,
        **{key: training.get(key, live.get(key, provenance.get(key))) for key in TRAINING_KEYS},
    }


def summarise_history(history: list[dict[str, Any]]) -> dict[str, Any]:
    """What the events of a run tell before it is finished."""
    epochs = [event for event in history if event["type"] == "epoch"]
    steps = [event for event in history if event["type"] == "step"]
    aurocs = [event["val_auroc"] for event in history if event["type"] == "eval" and event.get("val_auroc") is not None]
    last = epochs[-1] if epochs else {}
    return {
        "epochs_done": last.get("epoch", 0),
        "best_val_auroc": max(aurocs, default=None),
        "first_train_loss": steps[0]["loss"] if steps else None,
        "last_train_loss": last.get("train_loss"),
        "train_images_per_s": last.get("train_images_per_s"),
        "peak_memory_bytes": last.get("peak_memory_bytes"),
    }
