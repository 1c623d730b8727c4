"""Do the default learning rates lie well? Each method of the demo backbone at some factors of its default, briefly.

    python -m benchmarks.method_rates [--methods A,B] [--factors 0.1,0.3,1,3,10] [--steps 150] [--batch 64]
        [--fraction 0.25] [--patients 2150] [--seeds 0] [--device cpu|cuda:0] [--json FILE]

Every training has the same steps on the same training patients of the phantom set, from the same demo weights, through
the lab's own loop; at its end the mean AUROC over the labels is taken on val, with several seeds (head, adapters, order
and augmentation) their mean. Test is not looked at. The best factor has a star; "behind" is how far factor 1 is behind
it. Differences below .02 or so mean little: val has about 400 images, and one short training is one draw.
"""

import argparse
import math
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.methods import WHAT_METHODS_RAISE
from medpeft_core.backbones import BACKBONES
from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, OptimConfig, RunConfig, TrainConfig
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.errors import TrainingError
from medpeft_core.methods import METHODS
from medpeft_core.paths import write_json
from medpeft_core.resolve import resolve_config
from medpeft_core.training.build import build_loop_parts, build_model
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import SilentControl
from medpeft_core.training.data import PixelSource, SplitData, split_data
from medpeft_core.training.device import describe_device, resolve_device, resolve_precision, use_device
from medpeft_core.training.evaluate import compute_val_metrics, predict_split
from medpeft_core.training.loop import TrainingLoop
from medpeft_core.training.parts import count_batches

BACKBONE = "demo_vit"
NEVER_S = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", help="names with commas between; without it all that fit")
    parser.add_argument("--factors", default="0.1,0.333,1,3,10")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--fraction", type=float, default=0.25)
    parser.add_argument("--patients", type=int, default=2150, help="of the phantom set; fewer are drawn sooner")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.device = resolve_device(options.device)
    use_device(options.device)
    measure_all(options)


def measure_all(options: argparse.Namespace) -> None:
    """Print the table row by row; the file is written anew after each."""
    data = DataConfig(dataset="phantom", fraction=options.fraction, options={"num_patients": options.patients})
    prepared = prepare_dataset(data)
    splits, source = split_data(prepared, data), PixelSource(prepared.cache, options.device)
    factors = [float(factor) for factor in options.factors.split(",")]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    num_batches = count_batches(len(splits["train"]), options.batch)
    epochs = max(1, round(options.steps / num_batches))
    about = {
        "device": describe_device(options.device),
        "train": len(splits["train"]),
        "val": len(splits["val"]),
        "batch": options.batch,
        "epochs": epochs,
        "steps": epochs * num_batches,
        "seeds": seeds,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    heads = "".join(f"{f'x{factor:g}':>9}" for factor in factors)
    print(f"{'val AUROC':<22}{'default':>9}{heads}{'behind':>9}{'s each':>8}", flush=True)
    rows: list[dict[str, Any]] = []
    for method in options.methods.split(",") if options.methods else find_fitting():
        row: dict[str, Any] = {"method": method, "default_lr": METHODS[method].default_lr, "factors": factors}
        started = time.perf_counter()
        row["aurocs"], row["notes"] = [], []
        for factor in factors:
            config = build_config(options, data, method, factor, epochs)
            auroc, note = train_all(config, seeds, prepared, splits, source)
            row["aurocs"].append(auroc)
            row["notes"].append(note)
        row["seconds_each"] = (time.perf_counter() - started) / (len(factors) * len(seeds))
        rows.append(row)
        print(format_row(row), flush=True)
        if options.json:
            write_json(options.json, {"about": about, "rows": rows})


def find_fitting() -> list[str]:
    """Methods that the demo backbone can take."""
    spec = BACKBONES[BACKBONE]
    return [method.name for method in METHODS if method.find_misfit(spec.kind, spec.traits) is None]


def build_config(options: argparse.Namespace, data: DataConfig, method: str, factor: float, epochs: int) -> RunConfig:
    """The config of one training, all but its seed."""
    return resolve_config(
        RunConfig(
            data=data,
            backbone=BackboneConfig(name=BACKBONE, weights="demo"),
            method=MethodConfig(name=method),
            optim=OptimConfig(lr=METHODS[method].default_lr * factor),
            train=TrainConfig(
                epochs=epochs,
                batch_size=options.batch,
                device=options.device,
                precision=resolve_precision("auto", options.device),
                checkpoint_every_s=NEVER_S,
            ),
        )
    )


def train_all(
    config: RunConfig, seeds: list[int], prepared: PreparedData, splits: dict[str, SplitData], source: PixelSource
) -> tuple[float | None, str]:
    """The mean of the seeds, or None and why."""
    aurocs = []
    for seed in seeds:
        try:
            aurocs.append(train(replace(config, train=replace(config.train, seed=seed)), prepared, splits, source))
        except TrainingError:
            return None, "diverged"
        except WHAT_METHODS_RAISE as error:  # one method that fails must not end the table
            traceback.print_exc(file=sys.stderr)
            return None, f"{type(error).__name__}: {error}"[:160]
    return math.fsum(aurocs) / len(aurocs), ""


def train(config: RunConfig, prepared: PreparedData, splits: dict[str, SplitData], source: PixelSource) -> float:
    """Train to the end and measure val once.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    labels, task = prepared.manifest.labels, prepared.manifest.task
    with tempfile.TemporaryDirectory() as folder:
        parts = build_loop_parts(
            config,
            build_model(config, num_classes=len(labels)),
            splits=splits,
            source=source,
            task=task,
            labels=labels,
            checkpoint_dir=Path(folder) / "checkpoint",
            adapter_dir=Path(folder) / "adapter",
        )
        loop = TrainingLoop(parts, Position(), SilentControl())
        parts.adapted.begin(loop.num_steps)
        for epoch in range(1, config.train.epochs + 1):
            loop.position.epoch, loop.position.batch = epoch, 0
            loop.run_batches()
        loop.check_weights()
    logits = predict_split(
        parts.predictor,
        splits["val"],
        source,
        parts.transform,
        batch_size=config.evaluation.batch_size,
        control=SilentControl(),
        tell=lambda done, total: None,
    )
    auroc, _, _ = compute_val_metrics(logits, splits["val"].targets.numpy(), task=task, labels=labels)
    assert auroc is not None
    return auroc


def format_row(row: dict[str, Any]) -> str:
    """A line of the table."""
    found = [auroc for auroc in row["aurocs"] if auroc is not None]
    best = max(found, default=None)
    cells = ""
    for auroc, note in zip(row["aurocs"], row["notes"], strict=True):
        text = "failed" if note and note != "diverged" else note
        cells += f"{text:>9}" if auroc is None else f"{auroc:>8.3f}{'*' if auroc == best else ' '}"
    at_default = next((a for a, f in zip(row["aurocs"], row["factors"], strict=True) if f == 1), None)
    behind = "-" if at_default is None or best is None else f"{best - at_default:.3f}"
    failure = next((note for note in row["notes"] if note and note != "diverged"), "")
    line = f"{row['method']:<22}{row['default_lr']:>9.0e}{cells}{behind:>9}{row['seconds_each']:>8.1f}"
    return f"{line}  {failure}".rstrip()


if __name__ == "__main__":
    main()
