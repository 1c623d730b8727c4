"""Linear probing on cached features: the figures of the ordinary path, repeatable, resumable, shared, mended."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cached_runs import NUM_IMAGES, STILL, find_files, make_cached
from toy_set import (
    ToyControl,
    make_config,
    read_outcome,
    register_toy,
    train,
    train_with_stops,
)

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.explain.load import load_run
from medpeft_core.training.data import PixelSource, split_data
from medpeft_core.training.evaluate import predict_split


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_cached_run_gives_the_numbers_of_the_ordinary_path(backbone: str) -> None:
    """Trained without variation, in the same order, the ordinary run takes the same steps."""
    sections = {"backbone": {"name": backbone}, "augment": STILL, "optim": {"lr": 0.05}}
    cached = train(make_cached(**sections))
    plain = train(make_config(**sections, method={"name": "linear"}))
    for split in ("val", "test"):
        tables = [pd.read_parquet(run.predictions_dir / f"{split}.parquet") for run in (cached, plain)]
        logits = [table[["logit_left", "logit_top"]].to_numpy() for table in tables]
        np.testing.assert_allclose(logits[0], logits[1], rtol=0, atol=1e-5)
        assert np.ptp(logits[0]) > 1e-3
    steps = [[event["loss"] for event in run.history() if event["type"] == "step"] for run in (cached, plain)]
    np.testing.assert_allclose(steps[0], steps[1], rtol=0, atol=1e-5)
    events = [[(event["type"], event["step"]) for event in run.history()] for run in (cached, plain)]
    assert events[0] == events[1]
    assert cached.metrics()["training"]["num_trainable_params"] == plain.metrics()["training"]["num_trainable_params"]
    names = [sorted(path.name for path in run.adapter_dir.iterdir()) for run in (cached, plain)]
    assert names[0] == names[1], "what is kept is an ordinary head"


def test_predictions_are_those_of_the_whole_network_with_the_stored_head() -> None:
    """Predict and Explain load such a run as any other."""
    run = train(make_cached(train={"batch_size": 5}, evaluation={"batch_size": 7}))
    loaded = load_run(run)
    data = prepare_dataset(run.config().data)
    for split in ("val", "test"):
        logits = predict_split(
            loaded.built.adapted.network,
            split_data(data, run.config().data)[split],
            PixelSource(data.cache, "cpu"),
            loaded.transform,
            batch_size=16,
            control=ToyControl(run),
            tell=lambda done, total: None,
        )
        stored = pd.read_parquet(run.predictions_dir / f"{split}.parquet")[["logit_left", "logit_top"]].to_numpy()
        np.testing.assert_allclose(stored, logits, rtol=0, atol=1e-5)


def test_cached_runs_repeat_exactly_with_and_without_stored_features(home: Path, computed: list[int]) -> None:
    config = make_cached()
    cold = read_outcome(train(config))
    assert sum(computed) == NUM_IMAGES, "each image once, whatever its split and however many epochs"
    assert read_outcome(train(config)) == cold
    assert sum(computed) == NUM_IMAGES, "the second run found them"
    (path,) = find_files(home)
    path.unlink()
    assert read_outcome(train(config)) == cold
    assert sum(computed) == 2 * NUM_IMAGES


@pytest.mark.parametrize("sections", [{}, {"train": {"batch_size": 4, "accumulation": 3, "eval_every": 2}}])
def test_cached_run_stopped_and_resumed_equals_undisturbed(home: Path, sections: dict[str, Any]) -> None:
    config = make_cached(**sections)
    undisturbed = read_outcome(train(config))
    for path in find_files(home):
        path.unlink()  # so that some sessions stop while features are computed
    run, num_resumed = train_with_stops(config, 11)
    assert num_resumed >= 2
    assert read_outcome(run) == undisturbed


def test_runs_of_other_fractions_and_seeds_share_the_features_of_given_weights(
    home: Path, computed: list[int], tmp_path: Path
) -> None:
    first = train(make_cached())
    base = tmp_path / "base.safetensors"
    base.write_bytes((home / "weights" / f"{first.config().backbone.weights_sha256}.safetensors").read_bytes())
    before = len(find_files(home))
    same = {"backbone": {"weights": str(base), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}}  # as of random ones
    train(make_cached(**same, data={"fraction": 0.5}, train={"seed": 5, "epochs": 1, "batch_size": 4}))
    assert (len(find_files(home)), sum(computed)) == (before, NUM_IMAGES), "these weights were seen before"
    train(make_cached(train={"seed": 5}))
    assert (len(find_files(home)), sum(computed)) == (before + 1, 2 * NUM_IMAGES), "a seed gives other random weights"
