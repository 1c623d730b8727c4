"""One pre-training from its folder to its encoders: data, model, training. Called by the worker. Heavy."""

import time
from typing import Any

import torch

from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.pretraining.build import (
    PretrainParts,
    build_autoencoder,
    build_pretrain_parts,
    take_train_split,
)
from medpeft_core.pretraining.files import list_encoders
from medpeft_core.pretraining.loop import PretrainLoop
from medpeft_core.runs.run import Run
from medpeft_core.training.control import Control
from medpeft_core.training.data import PixelSource
from medpeft_core.training.device import describe_device, measure_peak_memory, use_device
from medpeft_core.training.evaluate import Stopped
from medpeft_core.training.opening import prepare_data, restore_position

METRICS_VERSION = 1


def pretrain_run(run: Run, control: Control) -> str:
    """Pre-train from where the folder of a run stands to its end.

    Returns:
        "finished", or "stopped" when somebody asked for it; the folder then holds an exact checkpoint.

    Raises:
        MedPeftError: the run cannot start or go on; says why.
    """
    started = time.perf_counter()
    config = run.pretrain_config()
    use_device(config.train.device)
    try:
        prepared = prepare_data(run, config.data, control)
        control.set_progress(phase="building the model")
        autoencoder, config = build_autoencoder(config)
        parts = build_pretrain_parts(
            config,
            autoencoder,
            train=take_train_split(prepared, config),
            source=PixelSource(prepared.cache, config.train.device),
            checkpoint_dir=run.checkpoint_dir,
            encoders_dir=run.encoders_dir,
            pictures_dir=run.pictures_dir,
        )
        position = restore_position(parts, run, control)
        loop = PretrainLoop(parts, position, control, facts=_describe_data(run, prepared, parts), started=started)
        loop.fit()
    except Stopped:
        return "stopped"
    run.save_metrics(_summarise(run, prepared, parts, loop))
    return "finished"


def _describe_data(run: Run, prepared: PreparedData, parts: PretrainParts) -> dict[str, Any]:
    manifest, train = prepared.manifest, parts.train.manifest
    return {
        "data_title": DATASETS[parts.config.data.dataset].title,
        "is_synthetic": manifest.is_synthetic,
        "num_train_images": len(parts.train),
        "num_train_patients": len(set(train.patient_ids)) if train.has_patients else None,
        "data_fingerprint": prepared.fingerprint,
        "run_id": run.run_id,
    }


def _summarise(run: Run, prepared: PreparedData, parts: PretrainParts, loop: PretrainLoop) -> dict[str, Any]:
    """What metrics.json holds."""
    position, facts = loop.position, loop.facts
    encoder = parts.autoencoder.encoder
    num_params = sum(parameter.numel() for parameter in encoder.parameters())
    num_all = sum(parameter.numel() for parameter in parts.autoencoder.parameters())
    return {
        "schema_version": METRICS_VERSION,
        "kind": "pretrain",
        "train_loss": position.last_train_loss,
        "first_train_loss": position.first_train_loss,
        "dataset": prepared.manifest.dataset,
        "is_synthetic": prepared.manifest.is_synthetic,
        "notes": list(prepared.manifest.notes),
        "wall_time_s": loop.wall_time_s(),
        "encoders": [
            {
                "file": item.path.name,
                "epoch": item.epoch,
                "train_loss": item.train_loss,
                "sha256": item.sha256,
                "num_bytes": item.num_bytes,
            }
            for item in list_encoders(run)
        ],
        "rebuilt": loop.last_rebuilt or _find_last_rebuilt(run),
        "training": {
            "num_params": num_params,
            "num_decoder_params": num_all - num_params,
            "num_train_images": facts["num_train_images"],
            "num_train_patients": facts["num_train_patients"],
            "epochs_done": position.epochs_done,
            "steps_done": position.step,
            "train_images": position.train_images,
            "train_images_per_s": position.train_images / position.train_time_s if position.train_time_s else None,
            "data_wait_frac": position.data_wait_s / position.train_time_s if position.train_time_s else None,
            "wall_time_s": loop.wall_time_s(),
            "peak_memory_bytes": measure_peak_memory(parts.device),
            "device": parts.device,
            "device_name": describe_device(parts.device),
            "precision": parts.precision,
            "num_threads": torch.get_num_threads(),
        },
    }


def _find_last_rebuilt(run: Run) -> dict[str, Any] | None:
    """What was measured last, of a run that was stopped after its last epoch and resumed."""
    found = [event for event in run.history(types=("rebuilt",)) if event["type"] == "rebuilt"]
    return {key: found[-1][key] for key in ("epoch", "masked_error", "mean_fill_error")} if found else None
