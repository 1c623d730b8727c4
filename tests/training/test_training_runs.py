"""Whole runs on a toy set: repeatable to the last bit, also when they are stopped anywhere and resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image
from toy_set import (
    ToyControl,
    all_finite,
    create_run,
    make_config,
    read_outcome,
    register_toy,
    train,
    train_with_stops,
)

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError, TrainingError
from medpeft_core.training.session import train_run

FULL_CNN = {"backbone": {"name": "test_resnet"}, "method": {"name": "full"}, "optim": {"lr": 1e-3}}
VARIANTS: dict[str, dict[str, Any]] = {
    "lora_dropout": {"method": {"name": "lora", "knobs": {"dropout": 0.3}}, "backbone": {"drop_path": 0.2}},
    "lora_eval_every": {"train": {"eval_every": 2}, "augment": {"erasing": 0.5, "rotation_deg": 20}},
    "full_cnn_adamw": FULL_CNN,
    "full_cnn_sgd": {**FULL_CNN, "optim": {"lr": 1e-2, "optimizer": "sgd"}},
    "full_cnn_accumulated": {**FULL_CNN, "train": {"batch_size": 4, "accumulation": 3, "eval_every": 3}},
    "lora_cnn_accumulated": {"backbone": {"name": "test_resnet"}, "train": {"batch_size": 3, "accumulation": 2}},
    "linear_patience": {"method": {"name": "linear"}, "train": {"patience": 1, "epochs": 4}},
    "bf16": {"train": {"precision": "bf16"}},
    "adalora": {"method": {"name": "adalora", "knobs": {"rank": 2, "init_rank": 4, "every": 2}}},
    "pissa": {"method": {"name": "pissa", "knobs": {"iterations": 2}}},
    "vblora": {"method": {"name": "vblora"}},
    "vpt_deep": {"method": {"name": "vpt_deep", "knobs": {"dropout": 0.2}}},
    "batchnorm_cnn": {"backbone": {"name": "test_resnet"}, "method": {"name": "batchnorm"}},
}


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


@pytest.mark.parametrize("variant", ["lora_dropout", "full_cnn_adamw"])
def test_run_repeats_exactly_and_another_seed_differs(variant: str) -> None:
    config = make_config(**VARIANTS[variant])
    first, second = read_outcome(train(config)), read_outcome(train(config))
    for part in first:
        assert first[part] == second[part], part
    sections = dict(VARIANTS[variant])
    sections["train"] = {**sections.get("train", {}), "seed": 1}
    other = read_outcome(train(make_config(**sections)))
    assert other["history"] != first["history"]
    assert other["predictions"] != first["predictions"]


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_run_stopped_and_resumed_equals_undisturbed(variant: str) -> None:
    """Stopped at every 7th question: in all epochs, inside accumulated steps, in evaluations, at the end."""
    config = make_config(**VARIANTS[variant])
    undisturbed = read_outcome(train(config))
    run, num_resumed = train_with_stops(config, 7)
    assert num_resumed >= 2
    outcome = read_outcome(run)
    for part in undisturbed:
        assert outcome[part] == undisturbed[part], part


def test_run_stopped_once_at_any_question_equals_undisturbed() -> None:
    config = make_config(train={"epochs": 2, "eval_every": 3, "batch_size": 10, "accumulation": 2})
    run = create_run(config)
    control = ToyControl(run)
    assert train_run(run, control) == "finished"
    undisturbed = read_outcome(run)
    for question in range(2, control.num_asked + 1, 3):
        stopped = create_run(config)
        assert train_run(stopped, ToyControl(stopped, stop_at=question)) == "stopped"
        assert stopped.metrics() is None
        assert train_run(stopped, ToyControl(stopped)) == "finished"
        assert read_outcome(stopped) == undisturbed, f"stopped at question {question}"


def test_run_killed_between_checkpoints_ends_with_the_same_figures() -> None:
    """A crash leaves events and best weights that are newer than the checkpoint: the steps are done again."""
    config = make_config(train={"epochs": 3, "eval_every": 2})
    undisturbed = read_outcome(train(config))

    class Killed(ToyControl):
        def emit(self, event: dict[str, Any]) -> None:
            super().emit(event)
            if event["type"] == "eval" and event["step"] == 8:
                raise KeyboardInterrupt

    run = create_run(config)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, Killed(run))
    assert train_run(run, ToyControl(run)) == "finished"
    assert read_outcome(run) == undisturbed


def test_run_learns_and_writes_what_it_counted() -> None:
    run = train(make_config(train={"epochs": 8}, method={"name": "full"}, optim={"lr": 1e-3}))
    metrics = run.metrics()
    assert metrics is not None
    training = metrics["training"]
    assert training["last_train_loss"] < training["first_train_loss"] - 0.05
    assert training["steps_done"] == 8 * 5
    assert training["epochs_done"] == 8
    assert (training["num_train_images"], training["num_train_patients"]) == (40, 20)
    assert metrics["val_auroc"] == metrics["val"]["macro"]["auroc"]
    best = max(event["val_auroc"] for event in run.history() if event["type"] == "eval")
    assert metrics["val_auroc"] == pytest.approx(best, abs=1e-9)  # the best weights are the ones that were measured
    evals = [event for event in run.history() if event["type"] == "eval"]
    assert [event["is_best"] for event in evals].count(True) >= 1
    assert len([event for event in run.history() if event["type"] == "epoch"]) == 8


@pytest.mark.parametrize("method", ["lora", "full"])
def test_run_with_an_absurd_rate_fails_and_keeps_what_was_good(method: str) -> None:
    config = make_config(method={"name": method}, optim={"lr": 1e12, "warmup_epochs": 0.0}, train={"eval_every": 1})
    run = create_run(config)
    with pytest.raises(TrainingError, match=r"no longer a finite number at step \d+ \(epoch 1\).*--lr 1e\+11"):
        train_run(run, ToyControl(run))
    for path in [*run.adapter_dir.glob("*.safetensors"), *run.checkpoint_dir.glob("*.safetensors")]:
        assert all(bool(torch.isfinite(tensor).all()) for tensor in safetensors.torch.load_file(path).values())
    assert run.metrics() is None


def test_run_that_turns_nan_keeps_the_last_good_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    from medpeft_core.training import loop

    real, num_calls = loop.compute_loss, 0

    def spoil(*args: Any, **options: Any) -> torch.Tensor:
        nonlocal num_calls
        num_calls += 1
        loss = real(*args, **options)
        return loss * float("nan") if num_calls == 13 else loss

    monkeypatch.setattr(loop, "compute_loss", spoil)
    run = create_run(make_config())
    with pytest.raises(TrainingError, match=r"The loss \(nan\) is no longer a finite number at step 13 \(epoch 3\)"):
        train_run(run, ToyControl(run))
    stored = safetensors.torch.load_file(run.checkpoint_dir / "state.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in stored.values())
    monkeypatch.undo()


def test_run_stops_early() -> None:
    config = make_config(method={"name": "linear"}, optim={"lr": 1e-9}, train={"epochs": 9, "patience": 2})
    run = train(config)
    assert run.metrics()["training"]["epochs_done"] == 3  # the first is the best, two more are no better
    assert any("Stopped early: 2 evaluations" in event.get("text", "") for event in run.history())


def test_run_evaluates_every_few_steps_on_a_fixed_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(make_config(train={"eval_every": 4}))
    evals = [event for event in run.history() if event["type"] == "eval"]
    assert [event["step"] for event in evals] == [4, 8, 12, 15]
    assert {event["num_images"] for event in evals} == {16}
    from medpeft_core.training import loop

    def choose_ten(num_images: int, config: RunConfig) -> np.ndarray:
        return np.sort(np.random.default_rng(config.train.seed).permutation(num_images)[:10])

    monkeypatch.setattr(loop, "choose_val_rows", choose_ten)
    subset = train(make_config(train={"eval_every": 4}))
    evals = [event for event in subset.history() if event["type"] == "eval"]
    assert {(event["num_images"], event["is_subset"]) for event in evals} == {(10, True)}
    assert sum(subset.metrics()["val"]["per_class"]["left"][key] for key in ("num_positive", "num_negative")) == 16


def test_run_tells_how_far_evaluations_are() -> None:
    class PhaseControl(ToyControl):
        def set_progress(self, *, phase: str | None = None, eta_s: float | None = None, **_: Any) -> None:
            shown.append((phase, eta_s))

    shown: list[tuple[str | None, float | None]] = []
    run = create_run(make_config(train={"epochs": 1}))
    assert train_run(run, PhaseControl(run)) == "finished"
    phases = [phase for phase, _ in shown]
    first = phases.index("evaluating val, 8 of 16 images")
    assert phases[first + 1] == "epoch 1 of 1"
    assert phases.index("evaluating val, 8 of 16 images", first + 1) < phases.index("evaluating test, 0 of 16 images")
    assert dict(shown)["evaluating test, 8 of 16 images"] is not None  # seconds that are left


def test_run_refuses_changed_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = create_run(make_config())

    def flip(table: pd.DataFrame) -> None:
        table.loc[0, "left"] = 1 - table.loc[0, "left"]

    register_toy(monkeypatch, tmp_path / "toy", change=flip)
    with pytest.raises(RunError, match="has changed since the run .* was set up"):
        train_run(run, ToyControl(run))


def test_run_with_balanced_classes_differs_from_plain() -> None:
    plain = train(make_config(train={"epochs": 1}))
    balanced = train(make_config(train={"epochs": 1}, optim={"class_weights": "balanced"}))
    losses = [[event["loss"] for event in run.history() if event["type"] == "step"] for run in (plain, balanced)]
    assert losses[0] != losses[1]
    assert all_finite(losses[1])


def test_run_on_several_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "classes", task="multiclass")
    for weights in ("none", "balanced"):
        run = train(make_config(method={"name": "full"}, optim={"lr": 1e-3, "class_weights": weights}))
        metrics = run.metrics()
        assert metrics["labels"] == [f"class_{number}" for number in range(4)]
        assert metrics["task"] == "multiclass"
        assert 0 <= metrics["test_auroc"] <= 1


def test_run_with_a_label_without_positives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def empty(table: pd.DataFrame) -> None:
        table["never"] = 0.0
        table.loc[table["split"] == "train", "top"] = 0.0

    register_toy(monkeypatch, tmp_path / "empty", change=empty)
    run = train(make_config(optim={"class_weights": "balanced"}))
    metrics = run.metrics()
    assert metrics["labels"] == ["left", "top", "never"]
    never = metrics["test"]["per_class"]["never"]
    assert never["auroc"] is None
    assert "positive" in str(never).lower()
    assert metrics["test"]["per_class"]["top"]["auroc"] is not None
    assert metrics["thresholds"]["never"] is None
    assert any("never" in warning for warning in run.provenance()["warnings"])


def test_run_with_missing_labels_counts_them_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forget(table: pd.DataFrame) -> None:
        table.loc[table.index % 3 == 0, "left"] = np.nan
        table.loc[table.index % 5 == 0, ["left", "top"]] = np.nan

    register_toy(monkeypatch, tmp_path / "holes", change=forget)
    run = train(make_config())
    predictions = pd.read_parquet(run.predictions_dir / "test.parquet")
    known = int(predictions["target_left"].notna().sum())
    row = run.metrics()["test"]["per_class"]["left"]
    assert known < 16
    assert row["num_positive"] + row["num_negative"] == known
    assert np.isfinite(predictions[["logit_left", "logit_top"]].to_numpy()).all()
    assert all_finite([event["loss"] for event in run.history() if event["type"] == "step"])


def test_run_metrics_are_those_of_the_stored_predictions() -> None:
    from sklearn.metrics import roc_auc_score

    run = train(make_config())
    for split in ("val", "test"):
        table = pd.read_parquet(run.predictions_dir / f"{split}.parquet")
        for label in ("left", "top"):
            expected = roc_auc_score(table[f"target_{label}"], table[f"logit_{label}"])
            assert run.metrics()[split]["per_class"][label]["auroc"] == pytest.approx(expected, abs=1e-12)


def test_run_refuses_replaced_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names and labels were the same, but the films had been replaced: the run went on as if nothing had happened."""
    register_toy(monkeypatch, tmp_path / "toy")
    run = create_run(make_config())
    film = sorted((tmp_path / "toy").rglob("*.png"))[0]
    Image.fromarray(255 - np.asarray(Image.open(film))).save(film)
    with pytest.raises(RunError, match="has changed since the run .* was set up"):
        train_run(run, ToyControl(run))
