"""Believable run folders, written in milliseconds through RunStore and Run, for tests that read runs and train none."""

import functools
import math
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.config import EvaluationConfig, RunConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.results import evaluate_stored, save_predictions

LABELS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
STEPS_PER_EPOCH = 20
SECONDS_PER_EPOCH = 6.0
NUM_PARAMS, NUM_TRAINABLE = 5_700_000, 75_000
NUM_TRAIN_IMAGES, NUM_TRAIN_PATIENTS = 2_800, 1_500
HELD_OUT = {"val": 60, "test": 60}
EVALUATION = EvaluationConfig(bootstrap_samples=100)
TRACEBACK = 'Traceback (most recent call last):\n  File "loop.py", line 1, in fit\nRuntimeError: out of memory\n'


def make_run(
    home: Path,
    *,
    status: str = "finished",
    epochs_done: int = 3,
    epochs: int | None = None,
    method: str = "lora",
    backbone: str = "vit_tiny_patch16_224",
    fraction: float = 1.0,
    seed: int = 0,
    quality: float = 1.0,
    labels: tuple[str, ...] = LABELS,
    error: str | None = None,
    phase: str | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    meta: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    heard_s: float = 0.0,
    device: str = "cpu",
) -> Run:
    """Write one run; a running one has this process as its worker and holds its device.

    Args:
        home: the lab's folder.
        status: what the state says; "queued" puts the run into the queue, "finished" gives it predictions and figures.
        epochs_done: whole epochs in the event log.
        epochs: epochs planned; None: as many as were done when finished, else two more.
        method, backbone, fraction, seed: what was trained.
        quality: distance of the two classes' logits in standard deviations; 0 is chance, 2 an AUROC of about 0.92.
        labels: the classes; one named "Never" has no positive image, so that its AUROC is n/a.
        error: the state's error text; a failed run also gets an error event with a traceback.
        phase: what the worker is at.
        settings: section to settings, laid over the config.
        meta: laid over tags, notes and owner.
        provenance: laid over where the run comes from.
        heard_s: how long ago a running run was last heard of.
        device: its lock.
    """
    store = RunStore(home)
    planned = epochs if epochs is not None else max(epochs_done, 1) + (0 if status == "finished" else 2)
    config = make_config(
        {
            "data": {"fraction": fraction},
            "backbone": {"name": backbone},
            "method": {"name": method},
            "train": {"seed": seed, "epochs": planned, "device": device},
        },
        settings or {},
    )
    origin = {**make_provenance(config, labels), **(provenance or {})}
    first = "queued" if status == "queued" else "stopped"  # an index made at this moment would queue what says so
    run = store.create(config, status=first, provenance=origin, device=device)
    run.save_meta({**run.meta(), **(meta or {})})
    write_events(run, epochs_done=epochs_done, quality=quality, labels=labels)
    if epochs_done:
        write_weights(run)
    if status == "finished":
        write_results(run, quality=quality, labels=labels, seed=seed, epochs_done=epochs_done)
    if status == "failed":
        run.emit({"type": "error", "text": error, "traceback": TRACEBACK})
    _write_ending(store, run, status, error=error, phase=phase, epochs_done=epochs_done, heard_s=heard_s)
    return run


def make_runs(home: Path, count: int) -> None:
    """Write many ended runs quickly: copies of a few, each under a name of its own, a minute apart."""
    statuses = ("finished", "failed", "stopped", "interrupted", "finished")
    with tempfile.TemporaryDirectory() as draft_home:
        drafts = [
            make_run(Path(draft_home), status=status, method=method, epochs_done=2, error="It broke.")
            for status, method in zip(statuses, ("lora", "lora", "full", "linear", "full"), strict=True)
        ]
        for number in range(count):
            draft = drafts[number % len(drafts)]
            name = f"20261101-{number // 60:02d}{number % 60:02d}{draft.run_id[13:-4]}{number:04x}"
            shutil.copytree(draft.folder, home / "runs" / name)


def make_config(*layers: dict[str, dict[str, Any]]) -> RunConfig:
    """A resolved config, as `training.check` leaves it, from settings by section; later layers win."""
    values: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, settings in layer.items():
            values[section] = {**values.get(section, {}), **settings}
    config = resolve_config(RunConfig.from_dict(values))
    backbone = replace(
        config.backbone, weights_sha256="a3" * 32, image_size=config.backbone.image_size or 112,
        pool=config.backbone.pool or "avg", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    device = "cpu" if config.train.device == "auto" else config.train.device
    return replace(config, backbone=backbone, train=replace(config.train, device=device, precision="fp32"))


def make_provenance(config: RunConfig, labels: tuple[str, ...]) -> dict[str, Any]:
    """What `training.provenance.collect_provenance` would write."""
    num_images = round(NUM_TRAIN_IMAGES * config.data.fraction)
    positives = {label: num_images // (8 + 3 * k) for k, label in enumerate(labels)}
    is_full = config.method.name == "full"
    return {
        "lab_version": "0.1.0",
        "git_commit": None,
        "python": "3.11.0",
        "platform": "test",
        "packages": {"torch": "2.15.0"},
        "device": config.train.device,
        "device_name": "CPU",
        "data_fingerprint": "f1" * 32,
        "pixels_sha256": "b2" * 32,
        "task": "multilabel",
        "labels": list(labels),
        "is_synthetic": config.data.dataset.startswith("phantom"),
        "data_notes": ["All images are synthetic: drawn by a program of the lab, without any image of a real patient."],
        "num_images": {"train": NUM_TRAIN_IMAGES, "val": 400, "test": 800},
        "num_train_images": num_images,
        "num_train_patients": round(NUM_TRAIN_PATIENTS * config.data.fraction),
        "positives": {
            label: {"num_positive": count, "num_negative": num_images - count, "num_unknown": 0}
            for label, count in positives.items()
        },
        "num_params": NUM_PARAMS,
        "num_trainable_params": NUM_PARAMS if is_full else NUM_TRAINABLE,
        "warnings": [],
    }


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
    files, figures = _make_predictions(labels, quality, seed % 5)
    run.predictions_dir.mkdir()
    for name, content in files.items():
        (run.predictions_dir / name).write_bytes(content)
    config, origin = run.config(), run.provenance()
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
            "num_trainable_params": training["num_trainable_params"],
            "wall_time_s": training["wall_time_s"],
            "dataset": config.data.dataset,
            "is_synthetic": origin["is_synthetic"],
            "task": "multilabel",
            "labels": list(labels),
            "notes": origin["data_notes"],
            **figures,
            "training": training,
        }
    )


@functools.cache
def _make_predictions(labels: tuple[str, ...], quality: float, seed: int) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The prediction files of both splits, and the figures from them; made once for equal arguments."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save_predictions(folder, labels, quality, seed)
        figures = evaluate_stored(folder, labels=labels, task="multilabel", evaluation=EVALUATION)
        return {path.name: path.read_bytes() for path in folder.iterdir()}, figures


def _save_predictions(folder: Path, labels: tuple[str, ...], quality: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for split, count in HELD_OUT.items():
        targets = (rng.random((count, len(labels))) < 0.3).astype(float)
        targets[:2] = [[1.0], [0.0]]  # both classes in each label
        targets[:, [label == "Never" for label in labels]] = 0.0
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
            dataset="phantom", task="multilabel", labels=labels, image_root=folder, table=table, is_synthetic=True
        )
        save_predictions(folder / f"{split}.parquet", manifest, logits)


def _write_ending(
    store: RunStore, run: Run, status: str, *, error: str | None, phase: str | None, epochs_done: int, heard_s: float
) -> None:
    state = run.state()
    planned = state.epochs or 1
    changes: dict[str, Any] = {"status": status, "error": error}
    if epochs_done or status == "running":
        epoch = min(epochs_done + (status == "running"), planned)
        step, num_steps = epochs_done * STEPS_PER_EPOCH, planned * STEPS_PER_EPOCH
        changes |= {
            "phase": phase or f"epoch {epoch} of {planned}",
            "epoch": epoch,
            "step": step,
            "num_steps": num_steps,
        }
    if status == "queued":
        store.index.enqueue(run.run_id, state.device or "cpu")
    elif status == "running":
        pid, started = process_identity(os.getpid())
        changes |= {"pid": pid, "pid_started": started, "eta_s": (planned - epochs_done) * SECONDS_PER_EPOCH}
        store.index.claim_device(state.device or "cpu", run.run_id, pid, started)
        store.index._execute("INSERT OR REPLACE INTO heartbeats VALUES (?, ?)", run.run_id, time.time() - heard_s)
    elif epochs_done:
        run.emit({"type": "status", "status": status, "error": error})
    run.write_state(**changes)


def _auroc_of(quality: float) -> float:
    """The AUROC of two normal distributions whose means differ by `quality` standard deviations."""
    return 0.5 * (1 + math.erf(quality / 2))
