"""What cached features save: linear probing of the demo backbone the plain way, cached cold and warm, and scikit-learn.

    python -m benchmarks.cached_features [--home FOLDER] [--epochs 8] [--fraction 0.1] [--threads 1]

All four see the same training patients of the default phantom set. Seconds are those of a whole run in one process,
from its data to its figures, imports left out; "CPU s" is what the process computed in them, which other work on the
machine changes little; "training" is the time without features, evaluation and intervals. scikit-learn fits one
logistic regression a label on the stored features, which have been standardised.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace

import numpy as np

from benchmarks.run_events import RunEvents
from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, RunConfig, TrainConfig
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.metrics.auroc import compute_auroc
from medpeft_core.paths import HOME_VARIABLE, cache_dir
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.store import RunStore
from medpeft_core.training.build import build_model
from medpeft_core.training.check import check_run
from medpeft_core.training.control import SilentControl
from medpeft_core.training.data import split_data
from medpeft_core.training.device import use_device
from medpeft_core.training.features import open_features
from medpeft_core.training.provenance import collect_provenance
from medpeft_core.training.session import train_run

ROW = "{:<28} {:>9} {:>8} {:>12} {:>11}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="where data are taken from and runs are put; without it, a folder for once")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ[HOME_VARIABLE] = options.home or temporary
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """Print the table."""
    config = RunConfig(
        data=DataConfig(dataset="phantom", fraction=options.fraction),
        backbone=BackboneConfig(name="demo_vit", weights="demo"),
        method=MethodConfig(name="linear"),
        train=TrainConfig(epochs=options.epochs, device="cpu", precision="fp32", cpu_threads=options.threads),
    )
    use_device("cpu", cpu_threads=options.threads)
    prepared = prepare_dataset(config.data)
    cached = replace(config, train=replace(config.train, cached_features=True))
    for path in (cache_dir() / "features").glob("*.safetensors"):
        path.unlink()
    num_train = len(split_data(prepared, config.data)["train"])
    print(
        f"cpu, {options.threads} threads, {len(prepared.cache_rows)} images, {num_train} of them to train on, "
        f"{options.epochs} epochs"
    )
    print(ROW.format("linear probing", "seconds", "CPU s", "training s", "test AUROC"))
    for name, wanted in (("plain", config), ("cached, cold", cached), ("cached, warm", cached)):
        seconds, cpu_s, training_s, auroc = time_run(wanted, prepared)
        print(ROW.format(name, f"{seconds:.1f}", f"{cpu_s:.1f}", f"{training_s:.2f}", f"{auroc:.4f}"), flush=True)
    seconds, auroc = time_logistic_regression(cached, prepared)
    print(ROW.format("scikit-learn, same features", "", "", f"{seconds:.2f}", f"{auroc:.4f}"))


def time_run(config: RunConfig, prepared: PreparedData) -> tuple[float, float, float, float]:
    """Seconds of a run, those of its process on a core and of its training steps, and its mean AUROC on test."""
    checked = check_run(resolve_config(config), prepared)
    run = RunStore.open_default().create(checked.config, provenance=collect_provenance(checked, prepared))
    started, cpu_started = time.perf_counter(), time.process_time()
    assert train_run(run, RunEvents(run)) == "finished"
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    metrics = run.metrics()
    assert metrics is not None
    training = metrics["training"]
    num_images = config.train.epochs * training["num_train_images"]
    return seconds, cpu_s, num_images / training["train_images_per_s"], metrics["test_auroc"]


def time_logistic_regression(config: RunConfig, prepared: PreparedData) -> tuple[float, float]:
    """Seconds of all fits, and the mean AUROC on test, with scikit-learn's own settings on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    checked = check_run(resolve_config(config), prepared).config
    built = build_model(checked, num_classes=len(prepared.manifest.labels))
    source = open_features(checked, built, prepared, SilentControl())
    splits = split_data(prepared, checked.data)
    features = {name: source.batch(part.cache_rows)[0].numpy() for name, part in splits.items()}
    targets = {name: part.targets.numpy() for name, part in splits.items()}
    started, aurocs = time.perf_counter(), []
    for column in range(len(prepared.manifest.labels)):
        known = ~np.isnan(targets["train"][:, column])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features["train"][known], targets["train"][known, column])
        scores = model.decision_function(features["test"])
        aurocs.append(compute_auroc(scores, targets["test"][:, column]))
    return time.perf_counter() - started, float(np.mean(aurocs))


if __name__ == "__main__":
    main()
