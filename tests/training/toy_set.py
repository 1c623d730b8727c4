"""A toy data set of 8-bit squares whose class is visible, and runs on it from the config to the figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors
from PIL import Image

from medpeft_core.config import RunConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, NoOptions
from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.check import check_run
from medpeft_core.training.provenance import collect_provenance
from medpeft_core.training.session import train_run

LABELS = ("left", "top")
SPLIT_SIZES = {"train": 40, "val": 16, "test": 16}
IMAGE_SIZE = 32
SPEEDS = {
    "time", "images_per_s", "train_images_per_s", "data_wait_frac", "peak_memory_bytes", "wall_time_s", "train_time_s",
    "data_wait_s",
}  # fmt: skip


def register_toy(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    task: str = "multilabel",
    change: Callable[[pd.DataFrame], pd.DataFrame | None] = lambda table: None,
    labels: tuple[str, ...] | None = None,
    is_ordered: bool = False,
) -> None:
    """Draw the images and register the set as `toy`; `change` may alter its table or give another, `labels` says which
    columns are."""
    table = _draw_images(folder, task)
    changed = change(table)
    table = table if changed is None else changed
    labels = labels or tuple(name for name in table.columns if name not in ("image", "patient_id", "split"))

    def read(root: Path | None, options: NoOptions, *, split_seed: int, progress: Any) -> Manifest:
        return Manifest(
            dataset="toy", task=task, labels=labels, image_root=folder, table=table, is_synthetic=True,
            is_ordered=is_ordered,
        )  # fmt: skip

    spec = DatasetSpec(
        name="toy", title="Toy squares", description="Squares.", task=task, labels=labels, is_synthetic=True,
        needs_root=False, licence="none", how_to_get="made by this test", citation="none", read=read,
    )  # fmt: skip
    monkeypatch.setitem(DATASETS._specs, "toy", spec)


def _draw_images(folder: Path, task: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, count in SPLIT_SIZES.items():
        for index in range(count):
            left, top = (bool(value) for value in rng.integers(0, 2, size=2))
            width = IMAGE_SIZE + 8 * (index % 3 == 0)  # not all of one shape
            pixels = rng.integers(0, 120, size=(IMAGE_SIZE, width), dtype=np.uint8)
            pixels[:, : width // 2] += np.uint8(90 * left)
            pixels[: IMAGE_SIZE // 2] += np.uint8(45 * top)
            name = f"{split}_{index:02d}.png"
            Image.fromarray(pixels).save(folder / name)
            kind = 2 * left + top
            targets = (
                {"left": float(left), "top": float(top)}
                if task == "multilabel"
                else {f"class_{number}": float(kind == number) for number in range(4)}
            )
            rows.append({"image": name, "patient_id": f"{split}{index // 2}", "split": split, **targets})
    return pd.DataFrame(rows)


def make_config(**sections: dict[str, Any]) -> RunConfig:
    """A config for a short run on the toy set; every section may be changed."""
    values: dict[str, dict[str, Any]] = {
        "data": {"dataset": "toy", "cache_size": IMAGE_SIZE},
        "backbone": {"name": "test_vit", "image_size": IMAGE_SIZE},
        "method": {"name": "lora", "knobs": {}},
        "optim": {"warmup_epochs": 0.5},
        "train": {"epochs": 3, "batch_size": 8, "device": "cpu", "precision": "fp32"},
        "evaluation": {"bootstrap_samples": 100, "batch_size": 8},
    }
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    return RunConfig.from_dict(values)


def create_run(config: RunConfig) -> Run:
    """Check a config and make its run folder, as the command line does."""
    prepared = prepare_dataset(config.data)
    checked = check_run(config, prepared)
    return RunStore(get_home()).create(checked.config, provenance=collect_provenance(checked, prepared))


class ToyControl:
    """Writes the run's events, and asks for a stop at the given calls of `should_stop`."""

    def __init__(self, run: Run, stop_at: int = 0) -> None:
        self.run = run
        self.stop_at = stop_at
        self.num_asked = 0

    def should_stop(self) -> bool:
        self.num_asked += 1
        return self.num_asked == self.stop_at

    def emit(self, event: dict[str, Any]) -> None:
        self.run.emit(event)

    def set_progress(self, **_: Any) -> None:
        pass


def train(config: RunConfig) -> Run:
    """An undisturbed run."""
    run = create_run(config)
    assert train_run(run, ToyControl(run)) == "finished"
    return run


def train_with_stops(config: RunConfig, stop_every: int, *, max_sessions: int = 100) -> tuple[Run, int]:
    """A run that is stopped at every n-th question and resumed until it is finished; also how often it was resumed."""
    run = create_run(config)
    for session in range(max_sessions):
        if train_run(run, ToyControl(run, stop_at=stop_every)) == "finished":
            return run, session
    raise AssertionError(f"not finished after {max_sessions} sessions")


def read_outcome(run: Run) -> dict[str, Any]:
    """Everything that a run gives, but for times and speeds."""
    with safetensors.safe_open(run.checkpoint_dir / "state.safetensors", framework="np") as file:
        checkpoint = {name: file.get_tensor(name).tolist() for name in file.keys()}  # noqa: SIM118  (not a dict)
    return {
        "history": strip_speeds([event for event in run.history() if event["type"] != "status"]),
        "metrics": strip_speeds(run.metrics()),
        "adapter": {path.name: path.read_bytes() for path in sorted(run.adapter_dir.glob("*.safetensors"))},
        "checkpoint": checkpoint,
        "predictions": {
            name: pd.read_parquet(run.predictions_dir / f"{name}.parquet").to_dict("list") for name in ("val", "test")
        },
    }


def strip_speeds(value: Any) -> Any:
    """Without the entries that depend on the clock."""
    if isinstance(value, dict):
        return {name: strip_speeds(item) for name, item in value.items() if name not in SPEEDS}
    return [strip_speeds(item) for item in value] if isinstance(value, list) else value


def with_train(config: RunConfig, **changes: Any) -> RunConfig:
    """The config with other training settings."""
    return replace(config, train=replace(config.train, **changes))


def all_finite(values: Any) -> bool:
    """Whether no number in nested lists is NaN or infinite."""
    return all(all_finite(item) for item in values) if isinstance(values, list) else math.isfinite(values)
