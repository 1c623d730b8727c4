"""Cached features as files: what they depend on, damage, stops, kills, waiting, a full disk, the clean-up."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from cached_runs import NUM_IMAGES, find_files, make_cached
from toy_set import (
    ToyControl,
    create_run,
    read_outcome,
    register_toy,
    strip_speeds,
    train,
)

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import TrainingError
from medpeft_core.housekeeping.feature_files import read_note
from medpeft_core.runs.run import Run
from medpeft_core.training import features as features_module
from medpeft_core.training.build import build_model
from medpeft_core.training.check import check_run
from medpeft_core.training.session import train_run


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


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
