"""A small protocol, and finished runs of its cells whose predictions are drawn and whose figures are computed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.lessons.protocol import Cell, Protocol, load_protocol
from medpeft_core.runs import Run, RunStore
from medpeft_core.training.results import evaluate_stored

LABELS = ("Effusion", "Nodule")
NUM_PATIENTS, IMAGES_EACH = 60, 2
SIZES = {"linear": 10, "lora": 50, "full": 1000, "full_random": 1000}


def write_protocol(folder: Path, **changes: Any) -> Path:
    """A protocol file with two fractions; `changes` replace its top-level entries."""
    grid, lr = [0.001, 0.003, 0.01], {"0.1": 0.003, "1": 0.003}
    methods = {
        "linear": {"title": "Linear probing", "method": {"name": "linear"}, "weights": "demo", "cached_features": True},
        "lora": {
            "title": "LoRA, rank 2",
            "method": {"name": "lora", "knobs": {"rank": 2, "targets": "q,v"}},
            "weights": "demo",
        },
        "full": {"title": "Full fine-tuning", "method": {"name": "full"}, "weights": "demo"},
        "full_random": {"title": "Full, random", "method": {"name": "full"}, "weights": "random"},
    }
    data = {"dataset": "phantom", "options": {"num_patients": 40, "size": 64, "seed": 3}}
    times = {"epochs": 1, "batch_size": 4, "eval_every": 5}
    values = {
        "schema_version": 1,
        "title": "A small protocol",
        "data": data,
        "development": {"data": {**data, "options": {**data["options"], "seed": 4}}, "seed": 60, "search": []},
        "fractions": [
            {"fraction": 0.1, "seeds": [1, 2, 3], **times},
            {"fraction": 1.0, "seeds": [1, 2], **times},
        ],
        "methods": {name: {**part, "grid": grid, "lr": lr} for name, part in methods.items()},
        "short": {"methods": ["lora", "full"], "fractions": [0.1], "num_seeds": 2},
        "settings": {"train": {"device": "cpu", "precision": "fp32", "cpu_threads": 1}},
    }
    path = folder / "protocol.json"
    path.write_text(json.dumps({**values, **changes}))
    return path


def make_protocol(folder: Path, **changes: Any) -> Protocol:
    return load_protocol(write_protocol(folder, **changes))


def finish_cell(
    store: RunStore, protocol: Protocol, cell: Cell, *, quality: float = 1.0, images: str = "image", **origin: Any
) -> Run:
    """A finished run of a cell.

    Args:
        store: where it lives.
        protocol: of the cell.
        cell: the cell.
        quality: distance of the two classes' logits in standard deviations.
        images: how the names of its test images begin.
        origin: laid over its provenance.
    """
    config = protocol.build_config(cell)
    store.index.queued()  # makes the index: a new one queues every queued run that it finds
    provenance = {
        "positives": {label: {"num_positive": 3} for label in LABELS},
        "platform": "Linux-of-somebody",
        "device_name": "a processor",
        **origin,
    }
    run = store.create(config, provenance=provenance, device="cpu")
    for number, split in enumerate(("val", "test")):
        _write_predictions(run, split, quality=quality, images=images, seed=1000 * number + cell.seed)
    figures = evaluate_stored(run.predictions_dir, labels=LABELS, task="multilabel", evaluation=config.evaluation)
    training = {
        "num_params": 1000,
        "num_trainable_params": SIZES[cell.method],
        "adapter_bytes": 4 * SIZES[cell.method],
        "num_train_images": round(100 * cell.fraction),
        "num_train_patients": round(50 * cell.fraction),
        "wall_time_s": 10.0 * cell.seed,
        "steps_done": 25,
    }
    run.save_metrics(
        {"labels": list(LABELS), "task": "multilabel", "dataset": "phantom", "is_synthetic": True, **figures,
         "training": training,
         "val_auroc": figures["val"]["macro"]["auroc"], "test_auroc": figures["test"]["macro"]["auroc"],
         "wall_time_s": training["wall_time_s"]}
    )  # fmt: skip
    run.emit({"type": "step", "epoch": 1, "step": 1, "loss": 0.7})
    run.emit({"type": "eval", "epoch": 1, "step": 5, "val_auroc": 0.6})
    run.write_state(status="finished")
    return run


def finish_cells(store: RunStore, protocol: Protocol, qualities: Mapping[str, float]) -> dict[str, Run]:
    """All cells of the methods that have a quality."""
    return {
        cell.key: finish_cell(store, protocol, cell, quality=qualities[cell.method] + 0.05 * cell.seed)
        for cell in protocol.list_cells(is_short=False)
        if cell.method in qualities
    }


def _write_predictions(run: Run, split: str, *, quality: float, images: str, seed: int) -> None:
    truth = np.random.default_rng(len(split))  # the same images for every run
    num_images = NUM_PATIENTS * IMAGES_EACH
    patients = np.repeat(np.arange(NUM_PATIENTS), IMAGES_EACH)
    targets = truth.random((num_images, len(LABELS))) < 0.4
    noise = np.random.default_rng(seed).normal(size=targets.shape)
    columns: dict[str, Any] = {
        "image": [f"{images}_{split}_{index:03d}.png" for index in range(num_images)],
        "patient_id": [f"p{patient:02d}" for patient in patients],
    }
    columns |= {f"target_{label}": targets[:, k].astype(float) for k, label in enumerate(LABELS)}
    columns |= {f"logit_{label}": noise[:, k] + quality * targets[:, k] for k, label in enumerate(LABELS)}
    run.predictions_dir.mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(run.predictions_dir / f"{split}.parquet", index=False)
