"""One run as a flat dict, from its files: what `train --json`, `show --json` and `compare --json` give. Light."""

from typing import Any

from medpeft_core.metrics.exclusive import DECISION_METRICS
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
CLASS_KEYS = ("auroc", "low", "high", "num_positive", "num_negative")
CLASS_DECISION_KEYS = ("sensitivity", "f1")


def summarise_result(run: Run) -> dict[str, Any]:
    """What a run did and found; a number that does not exist (yet) is None.

    Returns:
        run_id, run_dir, status, error, epochs_done, val_auroc, test_auroc with its interval, test_accuracy,
        test_macro_f1, test_weighted_f1, test_balanced_accuracy and test_quadratic_kappa with theirs (None unless the
        classes exclude each other), `per_class` (label to auroc, low, high, num_positive, num_negative, and for classes
        sensitivity and f1, on test), the sizes, losses, speed and memory of training, and what was trained.
    """
    state, config, metrics = run.state(), run.config(), run.metrics() or {}
    training = metrics.get("training", {})
    provenance = run.provenance()
    live = {} if training else summarise_history(run.history())  # a finished run has it all in metrics.json
    test = metrics.get("test", {})
    keys = (*CLASS_KEYS, *(CLASS_DECISION_KEYS if metrics.get("task") == "multiclass" else ()))
    per_class = {label: {key: figures.get(key) for key in keys} for label, figures in test.get("per_class", {}).items()}
    return {
        "run_id": run.run_id,
        "run_dir": str(run.folder),
        "status": state.status,
        "error": state.error,
        "dataset": config.data.dataset,
        "task": provenance.get("task"),
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
        **{f"test_{name}{end}": test.get(f"{name}{end}") for name in DECISION_METRICS for end in ("", "_low", "_high")},
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
