"""One pre-training as a flat dict, from its files: what `pretrain --json` and `show --json` give. Light."""

from typing import Any

from medpeft_core.pretraining.files import list_encoders
from medpeft_core.runs.run import Run

TRAINING_KEYS = ("train_images_per_s", "data_wait_frac", "wall_time_s", "peak_memory_bytes")


def summarise_pretraining(run: Run) -> dict[str, Any]:
    """What a pre-training did; a number that does not exist (yet) is None.

    Returns:
        run_id, run_dir, status, error, what was trained on what, epochs_done, first_train_loss (of the first step),
        last_train_loss (mean of the last epoch), `encoders` (each with file, path, epoch, train_loss, sha256,
        num_bytes), `rebuilt` (the last measured error of rebuilding), sizes, speed, memory and device.
    """
    state, config, metrics, provenance = run.state(), run.pretrain_config(), run.metrics() or {}, run.provenance()
    training = metrics.get("training", {})
    live = {} if training else summarise_progress(run.history())  # a finished one has it all in metrics.json
    return {
        "run_id": run.run_id,
        "run_dir": str(run.folder),
        "status": state.status,
        "error": state.error,
        "dataset": config.data.dataset,
        "is_synthetic": provenance.get("is_synthetic"),
        "data_notes": provenance.get("data_notes", []),
        "num_train_images": provenance.get("num_train_images"),
        "backbone": config.encoder.name,
        "weights": config.encoder.weights,
        "image_size": config.encoder.image_size,
        "mask_ratio": config.mae.mask_ratio,
        "seed": config.train.seed,
        "device": config.train.device,
        "precision": config.train.precision,
        "num_params": provenance.get("num_params"),
        "num_decoder_params": provenance.get("num_decoder_params"),
        "epochs_done": training.get("epochs_done", live.get("epochs_done")),
        "first_train_loss": metrics.get("first_train_loss", live.get("first_train_loss")),
        "last_train_loss": metrics.get("train_loss", live.get("last_train_loss")),
        "encoders": [
            {
                "file": item.path.name,
                "path": str(item.path),
                "epoch": item.epoch,
                "train_loss": item.train_loss,
                "sha256": item.sha256,
                "num_bytes": item.num_bytes,
            }
            for item in list_encoders(run)
        ],
        "rebuilt": metrics.get("rebuilt", live.get("rebuilt")),
        **{key: training.get(key, live.get(key)) for key in TRAINING_KEYS},
    }


def summarise_progress(history: list[dict[str, Any]]) -> dict[str, Any]:
    """What the events of a pre-training tell before it is finished."""
    found = {kind: [event for event in history if event["type"] == kind] for kind in ("step", "epoch", "rebuilt")}
    last, rebuilt = (found[kind][-1] if found[kind] else {} for kind in ("epoch", "rebuilt"))
    return {
        "epochs_done": last.get("epoch", 0),
        "first_train_loss": found["step"][0]["loss"] if found["step"] else None,
        "last_train_loss": last.get("train_loss"),
        "rebuilt": {key: rebuilt.get(key) for key in ("epoch", "masked_error", "mean_fill_error")} if rebuilt else None,
        **{key: last.get(key) for key in ("train_images_per_s", "data_wait_frac", "peak_memory_bytes")},
    }
