"""Linear probing on cached features: the figures of the ordinary path, repeatable, resumable, shared, mended."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pytest
import torch
from toy_set import (
    SPLIT_SIZES,
    ToyControl,
    create_run,
    make_config,
    read_outcome,
    register_toy,
    strip_speeds,
    train,
    train_with_stops,
)

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import TrainingError
from medpeft_core.explain.load import load_run
from medpeft_core.housekeeping.feature_files import read_note
from medpeft_core.runs.run import Run
from medpeft_core.training import features as features_module
from medpeft_core.training.build import build_model
from medpeft_core.training.check import check_run
from medpeft_core.training.data import PixelSource, split_data
from medpeft_core.training.evaluate import predict_split
from medpeft_core.training.session import train_run

NUM_IMAGES = sum(SPLIT_SIZES.values())
STILL = {"crop_scale_min": 1.0, "crop_ratio_max": 1.0, "flip": 0.0, "rotation_deg": 0.0, "brightness": 0.0,
         "contrast": 0.0}  # fmt: skip


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


def make_cached(**sections: dict[str, Any]) -> RunConfig:
    sections = {"method": {"name": "linear"}, "augment": STILL, **sections}
    return make_config(**{**sections, "train": {"cached_features": True, **sections.get("train", {})}})


def find_files(home: Path) -> list[Path]:
    return sorted((home / "cache" / "features").glob("*.safetensors"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images in each batch whose features were computed."""
    sizes: list[int] = []
    real = features_module.read_features

    def read(network: Any, head: Any, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return real(network, head, images)

    monkeypatch.setattr(features_module, "read_features", read)
    return sizes


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


@pytest.mark.parametrize(
    "sections",
    [
        {"backbone": {"pool": "avg"}},
        {"backbone": {"mean": (0.4, 0.4, 0.4)}},
        {"backbone": {"image_size": 48}},
        {"augment": {"interpolation": "bicubic"}},
        {"evaluation": {"batch_size": 5}},
        {"data": {"cache_size": 24}},
    ],
    ids=lambda sections: next(iter(next(iter(sections.values())))),
)
def test_other_inputs_have_other_features(sections: dict[str, Any]) -> None:
    assert find_own_path(make_cached(**sections)) != find_own_path(make_cached())


def test_other_threads_have_other_features() -> None:
    """Their number decides in which order sums are made, and a run promises to repeat to the last bit."""
    before, threads = find_own_path(make_cached()), torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert find_own_path(make_cached()) != before
    finally:
        torch.set_num_threads(threads)
    assert find_own_path(make_cached(train={"epochs": 9, "batch_size": 3}, optim={"lr": 1.0})) == before


def find_own_path(config: RunConfig) -> Path:
    """Where the features of a config would lie, without a training."""
    prepared = prepare_dataset(config.data)
    config = check_run(config, prepared).config
    built = build_model(config, num_classes=2)
    about = features_module.describe_features(config, built, pixels_sha256=prepared.pixels_sha256)
    return features_module.find_path(about)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lambda path: path.write_bytes(b"")])
def test_damaged_features_are_made_anew(home: Path, computed: list[int], damage: Callable[[Path], None]) -> None:
    config = make_cached()
    outcome = read_outcome(train(config))
    (path,) = find_files(home)
    whole = path.read_bytes()
    damage(path)
    assert read_outcome(train(config)) == outcome
    assert sum(computed) == 2 * NUM_IMAGES
    assert path.read_bytes() == whole


class PhaseControl(ToyControl):
    """Notes what is told, with the time that is left."""

    def __init__(self, run: Run, stop_at: int = 0) -> None:
        super().__init__(run, stop_at)
        self.phases: list[tuple[str | None, float | None]] = []
        self.asked: list[int] = []  # questions before each phase

    def set_progress(self, *, phase: str | None = None, eta_s: float | None = None, **_: Any) -> None:
        self.phases.append((phase, eta_s))
        self.asked.append(self.num_asked)


def test_computing_features_tells_how_far_it_is_and_stops_at_each_batch(home: Path) -> None:
    run = create_run(make_cached())
    control = PhaseControl(run)
    assert train_run(run, control) == "finished"
    told = [(phase, eta) for phase, eta in control.phases if phase and phase.startswith("computing features")]
    assert [phase for phase, _ in told] == [
        f"computing features, {done} of {NUM_IMAGES} images" for done in range(0, NUM_IMAGES, 8)
    ]
    assert [eta is not None for _, eta in told] == [False] + [True] * (len(told) - 1)
    for path in find_files(home):
        path.unlink()
    stopped = create_run(make_cached())
    asked = control.asked[control.phases.index(told[4])]
    control = PhaseControl(stopped, stop_at=asked + 1)
    assert train_run(stopped, control) == "stopped"
    assert control.phases[-1][0] == told[4][0], "the fifth batch was finished, the sixth not begun"
    assert [path.name for path in (home / "cache" / "features").iterdir() if path.suffix != ".lock"] == []
    assert not list(stopped.adapter_dir.glob("*.safetensors"))


def test_a_killed_computation_leaves_nothing_that_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_cached()
    run = create_run(config)
    with monkeypatch.context() as patch:

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(features_module, "read_features", die)
        with pytest.raises(KeyboardInterrupt):
            train_run(run, ToyControl(run))
    assert find_files(home) == []
    assert train_run(run, ToyControl(run)) == "finished"
    (path,) = find_files(home)
    half = path.with_name(f".{path.name}.abc.tmp")  # of one that was killed while it wrote
    half.write_bytes(b"half")
    path.unlink()
    assert strip_speeds(train(config).metrics()) == strip_speeds(run.metrics())
    assert find_files(home) == [path]
    assert not half.exists()


def test_features_that_are_being_computed_are_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "LOOK_EVERY_S", 0.01)
    train(make_cached())
    (path,) = find_files(home)
    content = path.read_bytes()
    path.unlink()
    run = create_run(make_cached())
    lock = filelock.FileLock(path.with_suffix(".lock"))

    class Waiting(PhaseControl):
        def set_progress(self, **told: Any) -> None:
            super().set_progress(**told)
            if "waiting for another run" in str(told.get("phase")) and lock.is_locked:
                path.write_bytes(content)
                lock.release()

    monkeypatch.setattr(features_module, "read_features", lambda *_: pytest.fail("computed twice"))
    lock.acquire()
    control = Waiting(run)
    assert train_run(run, control) == "finished"
    assert any("waiting for another run" in str(phase) for phase, _ in control.phases)
    path.unlink()
    other = create_run(make_cached())
    with lock:
        assert train_run(other, ToyControl(other, stop_at=3)) == "stopped", "a stop is heard while it waits"


def test_features_that_cannot_be_kept_are_told_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, write: Any) -> None:
        raise OSError(28, "No space left on device")

    run = create_run(make_cached())
    monkeypatch.setattr(features_module, "write_atomically", fail)
    sentence = r"The features cannot be kept in .*: No space left on device\. They take 0\.0 MB\. Make space"
    with pytest.raises(TrainingError, match=sentence):
        train_run(run, ToyControl(run))


def test_features_are_marked_as_used_and_known_to_the_clean_up(home: Path) -> None:
    run = train(make_cached())
    (path,) = find_files(home)
    note = read_note(path)
    assert (note["base_sha256"], note["pixels_sha256"]) == (
        run.config().backbone.weights_sha256,
        run.provenance()["pixels_sha256"],
    )
    os.utime(path, (1e9, 1e9))
    train(make_cached())
    assert time.time() - path.stat().st_mtime < 600
