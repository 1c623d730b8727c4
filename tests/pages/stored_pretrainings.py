"""Believable folders of pre-trainings, written in milliseconds through RunStore and Run; nothing is trained."""

import hashlib
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.pretraining.files import MASKED, ORIGINAL, name_encoder, name_rebuilt
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

STEPS_PER_EPOCH = 5
SECONDS_PER_EPOCH = 4.0
SIDE, NUM_IMAGES = 32, 4
NUM_TRAIN_IMAGES, NUM_PATCHES, NUM_VISIBLE = 70, 16, 4
TRACEBACK = 'Traceback (most recent call last):\n  File "loop.py", line 1, in fit\nRuntimeError: out of memory\n'


def make_pretraining(
    home: Path,
    *,
    status: str = "finished",
    epochs_done: int = 4,
    epochs: int | None = None,
    backbone: str = "vit_tiny_patch16_224",
    kept_epochs: tuple[int, ...] | None = None,
    error: str | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    provenance: dict[str, Any] | None = None,
    heard_s: float = 0.0,
) -> Run:
    """Write one pre-training; a running one has this process as its worker and holds its device.

    Args:
        home: the lab's folder.
        status: what the state says; "queued" puts it into the queue.
        epochs_done: whole epochs in the event log, each with a rebuilt picture; 0 with "running" has the first one.
        epochs: planned; None: as many as were done when finished, else two more.
        backbone: a plain ViT.
        kept_epochs: whose encoder is kept; None: every second and the last.
        error: the state's error text; a failed one also gets an error event with a traceback.
        settings: section to settings, laid over the config.
        provenance: laid over where it comes from.
        heard_s: how long ago a running one was last heard of.
    """
    store = RunStore(home)
    planned = epochs if epochs is not None else max(epochs_done, 1) + (0 if status == "finished" else 2)
    config = make_pretrain_config(backbone, planned, settings or {})
    first = "queued" if status == "queued" else "stopped"  # an index made at this moment would queue what says so
    run = store.create(config, status=first, provenance={**make_origin(config), **(provenance or {})}, device="cpu")
    if kept_epochs is None:
        kept_epochs = tuple(sorted({*range(2, epochs_done + 1, 2), *([epochs_done] if epochs_done else [])}))
    has_begun = epochs_done > 0 or status == "running"
    if has_begun:
        write_pretrain_events(run, epochs_done=epochs_done, kept_epochs=kept_epochs)
        run.log_path.write_text("The worker's own words.\n")
    if epochs_done:
        run.checkpoint_dir.mkdir(parents=True)
        (run.checkpoint_dir / "state.safetensors").write_bytes(bytes(1000))
    if status == "finished":
        write_pretrain_metrics(run, epochs_done)
    if status == "failed":
        run.emit({"type": "error", "text": error, "traceback": TRACEBACK})
    _write_ending(store, run, status, error=error, epochs_done=epochs_done, heard_s=heard_s, has_begun=has_begun)
    return run


def make_pretrain_config(backbone: str, epochs: int, settings: dict[str, dict[str, Any]]) -> PretrainConfig:
    """A complete config, as `pretraining.setup` leaves it."""
    values: dict[str, dict[str, Any]] = {"encoder": {"name": backbone}, "train": {"epochs": epochs, "device": "cpu"}}
    for section, table in settings.items():
        values[section] = {**values.get(section, {}), **table}
    config = resolve_pretraining(PretrainConfig.from_dict(values))
    encoder = replace(
        config.encoder, image_size=config.encoder.image_size or 64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )
    mae = replace(config.mae, decoder_width=128, decoder_depth=4, decoder_heads=4)
    return replace(config, encoder=encoder, mae=mae, train=replace(config.train, precision="fp32"))


def make_origin(config: PretrainConfig) -> dict[str, Any]:
    """What `pretraining.setup` would write."""
    return {
        "lab_version": "0.1.0",
        "device": "cpu",
        "device_name": "CPU",
        "data_fingerprint": "f1" * 32,
        "is_synthetic": config.data.dataset.startswith("phantom"),
        "data_notes": [],
        "warnings": [],
        "num_images": {"train": NUM_TRAIN_IMAGES, "val": 10, "test": 20},
        "num_train_images": NUM_TRAIN_IMAGES,
        "num_train_patients": 40,
        "num_params": 5_524_416,
        "num_decoder_params": 900_000,
        "num_patches": NUM_PATCHES,
        "num_visible_patches": NUM_VISIBLE,
    }


def write_pretrain_events(run: Run, *, epochs_done: int, kept_epochs: tuple[int, ...]) -> None:
    """The log of whole epochs that end now, with the pictures and encoders that it tells of."""
    begin = time.time() - epochs_done * SECONDS_PER_EPOCH
    run.emit({"type": "status", "status": "running", "device": "cpu", "pid": os.getpid(), "time": begin})
    save_strip(run.pictures_dir / ORIGINAL, level=90)
    save_strip(run.pictures_dir / MASKED, level=128)
    write_rebuilt(run, 0, at=begin)
    for epoch in range(1, epochs_done + 1):
        at = begin + epoch * SECONDS_PER_EPOCH
        for number in range(1, STEPS_PER_EPOCH + 1):
            step = (epoch - 1) * STEPS_PER_EPOCH + number
            values = {"loss": loss_at(step / STEPS_PER_EPOCH), "lr": 1e-4 * step, "images_per_s": 80.0}
            run.emit({"type": "step", "time": at, "epoch": epoch, "step": step, **values})
        shared = {"time": at, "epoch": epoch, "step": epoch * STEPS_PER_EPOCH}
        speed = {"train_images_per_s": 80.0, "data_wait_frac": 0.02, "peak_memory_bytes": 2**28}
        run.emit({"type": "epoch", **shared, "train_loss": loss_at(epoch), **speed})
        write_rebuilt(run, epoch, at=at)
        if epoch in kept_epochs:
            write_encoder(run, epoch, at=at)


def write_rebuilt(run: Run, epoch: int, *, at: float) -> None:
    """One rebuilt picture, and the event that tells of it."""
    save_strip(run.pictures_dir / name_rebuilt(epoch), level=100 + epoch)
    errors = {"masked_error": loss_at(epoch), "mean_fill_error": 1.0}
    shared = {"time": at, "epoch": epoch, "step": epoch * STEPS_PER_EPOCH}
    run.emit({"type": "rebuilt", **shared, "picture": name_rebuilt(epoch), **errors})


def write_encoder(run: Run, epoch: int, *, at: float) -> None:
    """A file in the place of an encoder, its card, and the event; its content is no model."""
    content = f"encoder of epoch {epoch}".encode()
    path = run.encoders_dir / name_encoder(epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_suffix(".md").write_text(f"# Encoder after epoch {epoch}\n")
    facts = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
    shared = {"time": at, "epoch": epoch, "step": epoch * STEPS_PER_EPOCH}
    run.emit({"type": "encoder", **shared, **facts, "train_loss": loss_at(epoch)})


def write_pretrain_metrics(run: Run, epochs_done: int) -> None:
    """What the last step writes."""
    training = {"train_images_per_s": 80.0, "epochs_done": epochs_done, "device": "cpu", "device_name": "CPU"}
    run.save_metrics(
        {
            "schema_version": 1,
            "kind": "pretrain",
            "train_loss": loss_at(epochs_done),
            "first_train_loss": loss_at(0),
            "dataset": "phantom",
            "is_synthetic": True,
            "wall_time_s": epochs_done * SECONDS_PER_EPOCH,
            "training": training,
        }
    )


def save_strip(path: Path, *, level: int) -> None:
    """A strip of grey squares with a gradient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shades = np.linspace(0, level, SIDE * NUM_IMAGES).astype(np.uint8)
    Image.fromarray(np.tile(shades, (SIDE, 1))).save(path)


def loss_at(epoch: float) -> float:
    """A loss that falls from 1.05 to 0.4."""
    return 0.4 + 0.65 * math.exp(-epoch / 3)


def _write_ending(
    store: RunStore, run: Run, status: str, *, error: str | None, epochs_done: int, heard_s: float, has_begun: bool
) -> None:
    planned = run.state().epochs or 1
    changes: dict[str, Any] = {"status": status, "error": error}
    if has_begun:
        epoch = min(epochs_done + (status == "running"), planned)
        step, num_steps = epochs_done * STEPS_PER_EPOCH, planned * STEPS_PER_EPOCH
        changes |= {"phase": f"epoch {epoch} of {planned}", "epoch": epoch, "step": step, "num_steps": num_steps}
    if status == "queued":
        store.index.enqueue(run.run_id, "cpu")
    elif status == "running":
        pid, started = process_identity(os.getpid())
        changes |= {"pid": pid, "pid_started": started, "eta_s": (planned - epochs_done) * SECONDS_PER_EPOCH}
        store.index.claim_device("cpu", run.run_id, pid, started)
        store.index._execute("INSERT OR REPLACE INTO heartbeats VALUES (?, ?)", run.run_id, time.time() - heard_s)
    elif epochs_done:
        run.emit({"type": "status", "status": status, "error": error})
    run.write_state(**changes)
