"""Forecasts of time: read from earlier runs, measured on the model, added up."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from toy_set import create_run, make_config, register_toy, train

from medpeft_core.config import RunConfig
from medpeft_core.paths import get_home
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.store import RunStore
from medpeft_core.training.build import build_model
from medpeft_core.training.speed import (
    EVALUATION_SPEEDUP,
    START_S,
    Speed,
    count_steps,
    find_measured_speed,
    forecast_times,
    images_per_epoch,
    measure_evaluation,
    time_on_cpu,
)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


def event(kind: str, at: float, **values: Any) -> dict[str, Any]:
    return {"type": kind, "time": at, **values}


def test_measure_evaluation_takes_what_training_leaves() -> None:
    """40 images an epoch at 10 a second are 4 s; the other 2 s of 6 went into 16 images of val."""
    history = [
        event("status", 0, status="running"),
        event("eval", 9, num_images=16),
        event("epoch", 10, epoch=1, train_images_per_s=10.0),
        event("eval", 16, num_images=16),
        event("epoch", 16, epoch=2, train_images_per_s=10.0),
    ]
    assert measure_evaluation(history, num_images=40) == pytest.approx(8)
    assert measure_evaluation(history[:3], num_images=40) is None
    resumed = [*history[:3], event("status", 500, status="resumed"), *history[3:]]
    assert measure_evaluation(resumed, num_images=40) is None, "nobody knows how long it stood still"


def test_measure_evaluation_of_a_real_run_is_plausible() -> None:
    run = train(make_config(train={"epochs": 4}))
    speed = measure_evaluation(run.history(), num_images=40)
    assert speed is not None
    assert 1 < speed < 1e5


def test_find_measured_speed_reads_the_newest_run_of_the_same_work() -> None:
    store = RunStore(get_home())
    config = make_config()
    assert find_measured_speed(store, config) is None
    run = train(config)
    complete = run.config()
    speed = find_measured_speed(store, complete)
    assert speed is not None
    assert speed.train_images_per_s == run.metrics()["training"]["train_images_per_s"]
    assert speed.source == f"Measured by the run {run.run_id}."
    newer = train(make_config(train={"epochs": 1}, method={"knobs": {"rank": 4}}))
    speed = find_measured_speed(store, complete)
    assert speed is not None
    assert newer.run_id in speed.source
    assert speed.eval_images_per_s == speed.train_images_per_s * EVALUATION_SPEEDUP["fp32"], (
        "one epoch tells no time between"
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"batch_size": 4}},
        {"train": {"precision": "bf16"}},
        {"train": {"cpu_threads": 1}},
        {"backbone": {"image_size": 48}},
        {"method": {"name": "full"}},
        {"backbone": {"name": "test_resnet"}},
    ],
    ids=str,
)
def test_find_measured_speed_ignores_other_work(sections: dict) -> None:
    train(make_config(train={"epochs": 1}))
    store = RunStore(get_home())
    assert find_measured_speed(store, make_config()) is not None, "the settings below alone make the difference"
    other = make_config(**sections)
    assert find_measured_speed(store, other) is None


def test_find_measured_speed_ignores_other_machines_and_damaged_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = RunStore(get_home()), train(make_config(train={"epochs": 1}))
    broken = create_run(make_config())
    broken.config_path.write_text("{")
    assert find_measured_speed(store, run.config()) is not None
    monkeypatch.setattr("medpeft_core.training.speed.describe_device", lambda device: "another CPU")
    assert find_measured_speed(store, run.config()) is None


def test_find_measured_speed_takes_a_run_that_is_still_running() -> None:
    store, run = RunStore(get_home()), create_run(make_config())
    pid, started = process_identity(os.getpid())
    run.write_state(status="running", pid=pid, pid_started=started)
    assert find_measured_speed(store, run.config()) is None, "it has finished no epoch"
    run.emit(event("epoch", time.time(), epoch=1, step=5, train_images_per_s=123.0))
    speed = find_measured_speed(store, run.config())
    assert speed is not None
    assert speed.train_images_per_s == 123.0
    assert speed.source == f"Measured by the run {run.run_id}, which is still running."


def complete_config(**sections: dict) -> RunConfig:
    return resolve_config(make_config(**sections))


class Clock:
    """Stands still but for what a test adds."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_time_on_cpu_leaves_out_the_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image takes 10 ms, each batch 20 ms, and the first of all 3 s more, as when kernels are made."""
    clock = Clock()
    monkeypatch.setattr("medpeft_core.training.speed.time", clock)
    config = complete_config(train={"batch_size": 8}, evaluation={"batch_size": 16})
    built = build_model(config, num_classes=2)
    sizes: list[int] = []
    forward = built.adapted.network.forward

    def take_time(images: Any) -> Any:
        clock.now += 0.02 + 0.01 * len(images) + (3.0 if not sizes else 0.0)
        sizes.append(len(images))
        return forward(images)

    monkeypatch.setattr(built.adapted.network, "forward", take_time)
    train_speed, eval_speed = time_on_cpu(built, config)
    assert train_speed == pytest.approx(8 / 0.10), "the largest batch, although the first pass used up the time"
    assert eval_speed == pytest.approx(16 / 0.18)
    assert sizes[:7] == [2, 2, 8, 2, 2, 8, 16]


def test_time_on_cpu_judges_a_slow_model_by_its_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medpeft_core.training.speed.BUDGET_S", 0.0)
    monkeypatch.setattr("medpeft_core.training.speed.MAX_FIRST_S", 0.0)
    config = complete_config()
    built = build_model(config, num_classes=2)
    calls: list[int] = []
    forward = built.adapted.network.forward
    monkeypatch.setattr(built.adapted.network, "forward", lambda images: calls.append(len(images)) or forward(images))
    time_on_cpu(built, config)
    assert calls == [2, 2], "one pass of training, one of evaluation"


def test_forecast_times_add_up() -> None:
    speed = Speed(train_images_per_s=10.0, eval_images_per_s=20.0, source="")
    config = complete_config(train={"epochs": 3, "batch_size": 8})
    times = forecast_times(config, num_train=41, num_val=20, num_test=60, speed=speed)
    assert times["train_s"] == 4.0, "the lone last image is left out"
    assert times["eval_s"] == 1.0
    assert times["total_s"] == pytest.approx(START_S + 3 * (4 + 1) + (20 + 60) / 20)


def test_forecast_times_with_evaluations_by_step() -> None:
    speed = Speed(train_images_per_s=10.0, eval_images_per_s=20.0, source="")
    config = complete_config(train={"epochs": 2, "batch_size": 8, "eval_every": 3}, evaluation={"max_val_images": 16})
    times = forecast_times(config, num_train=40, num_val=100, num_test=0, speed=speed)
    # 10 steps: after 3, 6, 9 and at the end, each on 16 of the 100 images
    assert times["eval_s"] == pytest.approx(4 * 16 / 20 / 2)
    assert times["total_s"] == pytest.approx(START_S + 8 + 4 * 16 / 20 + 100 / 20)


@pytest.mark.parametrize(
    ("num_train", "batch_size", "accumulation", "steps", "images"),
    [(40, 8, 1, 5, 40), (41, 8, 1, 5, 40), (42, 8, 4, 2, 42), (1, 8, 1, 1, 1)],
)
def test_count_steps(num_train: int, batch_size: int, accumulation: int, steps: int, images: int) -> None:
    config = complete_config(train={"batch_size": batch_size, "accumulation": accumulation})
    assert count_steps(config, num_train) == steps
    assert images_per_epoch(num_train, batch_size) == images
