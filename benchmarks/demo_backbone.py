"""Does the demo backbone know something? Linear probing and LoRA at few labels, from its weights and from random ones.

    python -m benchmarks.demo_backbone [--weights demo|FILE] [--seeds 0,1,2] [--lr linear=X,lora=Y] [--json OUT.json]

Each seed draws its own training patients, head, adapters and (on the random side) backbone; both sides of a pair share
everything but the base weights. Runs are made by the lab's own loop in a home of their own; one that is finished
already is taken as it is, so the command can be stopped and started again. The data are the default phantom set, whose
generator seed is not that of the pre-training. Test is read once a run.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run_events import RunEvents
from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    MethodConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.lessons.likeness import is_run_of
from medpeft_core.metrics.bootstrap import bootstrap_samples
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.metrics.seeds import SeedMean, compare_seeds
from medpeft_core.paths import HOME_VARIABLE
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.training.check import check_run
from medpeft_core.training.provenance import collect_provenance
from medpeft_core.training.results import load_predictions
from medpeft_core.training.session import train_run

STEADY = AugmentConfig(crop_scale_min=0.9, rotation_deg=0.0, contrast=0.1)
NUM_SAMPLES, SAMPLE_SEED, CONFIDENCE = 2000, 1, 0.95
METHODS = {
    "linear": MethodConfig(name="linear"),
    "lora": MethodConfig(name="lora", knobs={"rank": 8, "targets": "q,v"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", default="/tmp/medpeft-demo-backbone")
    parser.add_argument("--weights", default="demo")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lr", help="linear=X,lora=Y; without it the methods' own rates")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--only", choices=("random", "pretrained"), help="one side, for choosing settings on val")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ[HOME_VARIABLE] = options.home
    rates = dict(part.split("=") for part in options.lr.split(",")) if options.lr else {}
    prepared = prepare_dataset(DataConfig(dataset="phantom"))
    seeds, results = [int(seed) for seed in options.seeds.split(",")], []
    sides = {"random": "random", "pretrained": options.weights}
    for method in options.methods.split(","):
        runs: dict[str, list[Run]] = {}
        for side in [options.only] if options.only else sides:
            runs[side] = []
            for seed in seeds:
                config = build_config(options, method, sides[side], seed, rates.get(method))
                runs[side].append(find_or_train(config, prepared))
                tell_run(runs[side][-1], method, side, seed)
        if options.only is None and len(seeds) > 1:
            results += compare(method, runs["random"], runs["pretrained"])
    for item in results:
        print(
            f"{item['method']:<8}{item['label']:<16}{item['random']:>8.3f}{item['pretrained']:>8.3f}"
            f"{item['difference']:>+8.3f} ({item['low']:+.3f} to {item['high']:+.3f})"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def build_config(options: argparse.Namespace, method: str, side: str, seed: int, lr: str | None) -> RunConfig:
    return resolve_config(
        RunConfig(
            data=DataConfig(dataset="phantom", fraction=options.fraction, fraction_seed=seed),
            backbone=BackboneConfig(name="demo_vit", weights=side, pool="avg"),
            method=METHODS[method],
            optim=OptimConfig(lr=float(lr) if lr else None),
            train=TrainConfig(epochs=options.epochs, batch_size=options.batch, seed=seed, device=options.device),
            augment=STEADY,
        )
    )


def find_or_train(config: RunConfig, prepared: PreparedData) -> Run:
    """A finished run with these settings, or a new one."""
    store = RunStore.open_default()
    for run in store.list_runs():
        if run.status == FINISHED and is_run_of(run.config(), config):
            return run
    checked = check_run(config, prepared)
    run = store.create(checked.config, provenance=collect_provenance(checked, prepared), device=config.train.device)
    outcome = train_run(run, RunEvents(run))
    assert outcome == FINISHED
    run.write_state(status=FINISHED)
    return run


def tell_run(run: Run, method: str, side: str, seed: int) -> None:
    metrics = run.metrics() or {}
    val = metrics["val"].get("per_class", {})
    labels = " ".join(f"{label[:4]} {figures['auroc']:.3f}" for label, figures in val.items())
    print(
        f"{time.strftime('%H:%M:%S')} {method:<8}{Path(side).name:<20}seed {seed}: val {metrics['val_auroc']:.3f}  "
        f"{labels}  {metrics['wall_time_s']:.0f} s",
        flush=True,
    )


def compare(method: str, random: list[Run], pretrained: list[Run]) -> list[dict[str, Any]]:
    """Test AUROC of each label and their mean on both sides, with the interval of the difference."""
    labels = tuple((random[0].metrics() or {})["labels"])
    figures, samples = zip(*(measure(runs, labels) for runs in (random, pretrained)), strict=True)
    rows = []
    for index, label in enumerate((*labels, "mean")):
        pick = (lambda table: table.mean(axis=-1)) if label == "mean" else (lambda table, at=index: table[..., at])
        first, second = (pick(table) for table in figures)
        found: SeedMean = compare_seeds(first, second, pick(samples[0]), pick(samples[1]), confidence=CONFIDENCE)
        rows.append(
            {
                "method": method,
                "label": label,
                "num_seeds": len(first),
                "random": float(first.mean()),
                "pretrained": float(second.mean()),
                "difference": found.mean,
                "low": found.low,
                "high": found.high,
                "num_seeds_better": int((second > first).sum()),
            }
        )
    return rows


def measure(runs: list[Run], labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """AUROC (R, K) of each run and label, and the same (R, S, K) in resamplings of the patients."""
    figures, samples = [], []
    for run in runs:
        table, logits, targets = load_predictions(run.predictions_dir / "test.parquet", labels)
        metrics = run.metrics() or {}
        figures.append([metrics["test"]["per_class"][label]["auroc"] for label in labels])
        probs = probs_from_logits(logits, task="multilabel")
        patients = table["patient_id"].to_numpy(dtype=str)
        drawn = bootstrap_samples(
            probs, targets, patients, num_samples=NUM_SAMPLES, seed=SAMPLE_SEED, metrics=("auroc",)
        )
        samples.append(drawn["auroc"])
    return np.array(figures), np.array(samples)


if __name__ == "__main__":
    main()
