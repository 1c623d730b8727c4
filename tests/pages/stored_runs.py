"""Believable run folders, written in milliseconds through RunStore and Run, for tests that read runs and train none."""

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from stored_files import SECONDS_PER_EPOCH, STEPS_PER_EPOCH, write_events, write_results, write_weights

from medpeft_core.config import RunConfig
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

LABELS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
NUM_PARAMS, NUM_TRAINABLE = 5_700_000, 75_000
NUM_TRAIN_IMAGES, NUM_TRAIN_PATIENTS = 2_800, 1_500
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
        provenance: laid over where the run comes from; with the task "multiclass" the labels are exclusive classes.
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
