"""What is told about a run before its launch equals what the run itself finds."""

import os
from pathlib import Path

import pytest
from toy_set import LABELS, SPLIT_SIZES, ToyControl, create_run, make_config, register_toy, train

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import BackboneError, ComputeError, ConfigError, DataError, UnknownNameError
from medpeft_core.paths import get_home
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.store import RunStore
from medpeft_core.training import bare_backbones, forecast, model_facts
from medpeft_core.training.build import build_loop_parts, build_model
from medpeft_core.training.check import check_run
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.data import PixelSource, split_data
from medpeft_core.training.forecast import Forecaster
from medpeft_core.training.loop import TrainingLoop

LIBRARIES = 10**9


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def built_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The backbones that were built, in order."""
    names = []
    real = bare_backbones.build_bare_backbone

    def build(config, *, num_classes):
        names.append(config.backbone.name)
        return real(config, num_classes=num_classes)

    monkeypatch.setattr(bare_backbones, "build_bare_backbone", build)
    return names


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"data": {"fraction": 0.5}, "method": {"name": "full"}},
        {"backbone": {"name": "test_resnet"}},
        {"method": {"name": "linear"}, "train": {"cached_features": True, "precision": "auto"}},
    ],
    ids=["lora_vit", "full_half", "lora_resnet", "cached"],
)
def test_check_tells_what_a_launch_would_find(forecaster: Forecaster, home: Path, sections: dict) -> None:
    config = make_config(**sections)
    prepared = prepare_dataset(config.data)
    answer = forecaster.check(config)
    assert not (home / "weights").exists(), "a forecast stores nothing"
    checked = check_run(config, prepared)
    told = {**answer["config"], "backbone": {**answer["config"]["backbone"], "weights_sha256": None}}
    expected = checked.config.to_dict()
    assert told == {**expected, "backbone": {**expected["backbone"], "weights_sha256": None}}
    assert answer["is_prepared"] is True
    assert answer["num_params"] == checked.num_params
    assert answer["num_trainable_params"] == checked.num_trainable_params
    assert answer["num_train_images"] == checked.num_train_images
    assert answer["num_train_patients"] == checked.num_train_patients
    assert answer["num_images"] == SPLIT_SIZES
    assert {label: tuple(counts.values()) for label, counts in answer["positives"].items()} == checked.positives
    assert set(checked.warnings) <= set(answer["warnings"])


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 1), (8, 2), (3, 4), (64, 1)])
def test_check_counts_steps_as_the_loop_does(forecaster: Forecaster, batch_size: int, accumulation: int) -> None:
    run = create_run(make_config(train={"batch_size": batch_size, "accumulation": accumulation}))
    config = run.config()
    prepared = prepare_dataset(config.data)
    parts = build_loop_parts(
        config,
        build_model(config, num_classes=2),
        splits=split_data(prepared, config.data),
        source=PixelSource(prepared.cache, "cpu"),
        task="multilabel",
        labels=LABELS,
        checkpoint_dir=run.checkpoint_dir,
        adapter_dir=run.adapter_dir,
    )
    loop = TrainingLoop(parts, Position(), ToyControl(run))
    answer = forecaster.check(config)
    assert (answer["steps_per_epoch"], answer["num_steps"]) == (loop.steps_per_epoch, loop.num_steps)


def test_check_works_before_the_data_are_prepared(forecaster: Forecaster, home: Path) -> None:
    config = make_config(data={"dataset": "phantom"})
    answer = forecaster.check(config)
    assert answer["is_prepared"] is False
    data_parts = ("steps_per_epoch", "num_steps", "num_images", "num_train_images", "num_train_patients", "positives")
    assert [answer[name] for name in data_parts] == [None] * 6
    assert answer["num_params"] > answer["num_trainable_params"] > 0
    assert answer["memory_bytes"] == sum(answer["memory_parts"].values())
    assert answer["memory_parts"]["libraries"] == LIBRARIES
    assert answer["device_memory_bytes"] > 0
    assert not (home / "datasets").exists(), "nothing was drawn"


def test_check_sees_data_as_soon_as_they_are_prepared(forecaster: Forecaster) -> None:
    config = make_config()
    assert forecaster.check(config)["is_prepared"] is False
    prepare_dataset(config.data)
    assert forecaster.check(config)["is_prepared"] is True


def test_check_builds_and_weighs_a_model_once(
    forecaster: Forecaster, built_names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People change one field after the other, and each change asks."""
    weighed = []
    real = model_facts.measure_needs
    monkeypatch.setattr(
        model_facts, "measure_needs", lambda built, **options: weighed.append(built) or real(built, **options)
    )
    first = forecaster.check(make_config())
    for sections in (
        {},
        {"train": {"epochs": 99, "batch_size": 4}},
        {"optim": {"optimizer": "sgd"}},
        {"augment": {"flip": 0.0}},
        {"evaluation": {"batch_size": 2}},
    ):
        forecaster.check(make_config(**sections))
    forecaster.check(make_config(backbone={key: first["config"]["backbone"][key] for key in ("pool", "mean", "std")}))
    assert (len(built_names), len(weighed)) == (1, 1)
    small = forecaster.check(make_config(method={"knobs": {"rank": 2}}))
    full = forecaster.check(make_config(method={"name": "full"}))
    assert small["num_trainable_params"] < first["num_trainable_params"] < full["num_trainable_params"]
    assert full["num_params"] == full["num_trainable_params"], "no adapter of an earlier check is left in it"
    assert (len(built_names), len(weighed)) == (1, 3)
    forecaster.check(make_config(backbone={"name": "test_resnet"}))
    forecaster.check(make_config())
    assert built_names == ["test_vit", "test_resnet"]


def test_check_keeps_no_large_backbone(
    forecaster: Forecaster, built_names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bare_backbones, "MAX_KEPT_BYTES", 1000)
    forecaster.check(make_config())
    forecaster.check(make_config(method={"name": "linear"}))
    assert built_names == ["test_vit", "test_vit"]


def test_check_notices_a_changed_weights_file(forecaster: Forecaster, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"damaged")
    config = make_config(backbone={"weights": str(path)})
    with pytest.raises(BackboneError, match="cannot be read"):
        forecaster.check(config)
    run = create_run(make_config())
    path.write_bytes((get_home() / "weights" / f"{run.config().backbone.weights_sha256}.safetensors").read_bytes())
    answer = forecaster.check(config)
    assert not [text for text in answer["warnings"] if "random weights" in text]
    path.write_bytes(b"damaged again")
    with pytest.raises(BackboneError, match="cannot be read"):
        forecaster.check(config)


@pytest.mark.parametrize(("method", "is_weak"), [("lora", True), ("linear", True), ("full", False)])
def test_check_warns_of_frozen_random_weights(forecaster: Forecaster, method: str, is_weak: bool) -> None:
    answer = forecaster.check(make_config(method={"name": method}))
    found = [text for text in answer["warnings"] if "random weights, which have learned nothing" in text]
    assert len(found) == is_weak


def test_check_warns_when_the_memory_is_too_small(forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(train={"batch_size": 64})
    needed = forecaster.check(config)["memory_bytes"]
    monkeypatch.setattr(forecast, "find_free_memory", lambda device: needed - 1)
    (text, *_) = forecaster.check(config)["warnings"]
    assert "Use train.batch_size 32 with train.accumulation 2 (the same effective batch)" in text
    monkeypatch.setattr(forecast, "find_free_memory", lambda device: needed)
    assert not [text for text in forecaster.check(config)["warnings"] if "memory" in text]


def test_check_tells_notes_on_the_data(forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Data without patients cannot be checked for leakage, and people should read that before they train."""

    def change(table):
        table["patient_id"] = None
        table.loc[table["split"] == "train", "top"] = 0.0

    register_toy(monkeypatch, tmp_path / "bare", change=change)
    prepare_dataset(make_config().data)
    answer = forecaster.check(make_config())
    assert answer["num_train_patients"] is None
    assert any("leakage between images of one patient could not be checked" in text for text in answer["warnings"])
    assert any(text.startswith("top has no positive image") for text in answer["warnings"])


@pytest.mark.parametrize(
    ("sections", "error", "text"),
    [
        ({"backbone": {"name": "test_vitt"}}, BackboneError, "no backbone 'test_vitt'"),
        ({"method": {"name": "lorra"}}, UnknownNameError, "Did you mean 'lora'"),
        ({"backbone": {"image_size": 40}}, BackboneError, "multiple of 16"),
        ({"backbone": {"weights": "demo"}}, BackboneError, "The demo weights are those of 'demo_vit'"),
        ({"train": {"precision": "fp16"}}, ConfigError, "fp16"),
        ({"data": {"dataset": "nih"}}, DataError, "needs the folder"),
        ({"data": {"fraction": 0.001}}, DataError, "has 1 image at a fraction of 0.001"),
    ],
)
def test_check_refuses_what_a_launch_would_refuse(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sections: dict, error: type, text: str
) -> None:
    def change(table):
        table["patient_id"] = [f"p{row}" for row in range(len(table))]

    register_toy(monkeypatch, tmp_path / "single", change=change)
    prepare_dataset(make_config().data)
    with pytest.raises(error, match=text):
        forecaster.check(make_config(**sections))


def test_forecast_speed_prefers_an_earlier_run(forecaster: Forecaster, built_names: list[str]) -> None:
    run = train(make_config())
    answer = forecaster.forecast_speed(make_config())
    assert answer["source"] == f"Measured by the run {run.run_id}."
    assert answer["images_per_s"] == run.metrics()["training"]["train_images_per_s"]
    assert answer["train_s"] == pytest.approx(40 / answer["images_per_s"])
    assert answer["total_s"] > 3 * (answer["train_s"] + answer["eval_s"])
    longer = forecaster.forecast_speed(make_config(train={"epochs": 30}))
    assert longer["total_s"] - answer["total_s"] == pytest.approx(27 * (answer["train_s"] + answer["eval_s"]))
    assert built_names == ["test_vit"]


def test_forecast_speed_measures_on_this_cpu(forecaster: Forecaster, built_names: list[str]) -> None:
    store = RunStore(get_home())
    prepare_dataset(make_config().data)
    forecaster.check(make_config())
    answer = forecaster.forecast_speed(make_config())
    assert answer["source"] == "Measured now on this CPU."
    assert answer["images_per_s"] > 0
    assert built_names == ["test_vit"], "the backbone of the check is used again"
    store.index.claim_device("cpu", "a-run", *process_identity(os.getpid()))
    answer = forecaster.forecast_speed(make_config())
    assert answer["source"] == "Measured now on this CPU beside the run a-run, which was training."


def test_forecast_speed_tells_no_times_without_data(forecaster: Forecaster) -> None:
    answer = forecaster.forecast_speed(make_config(data={"dataset": "phantom"}))
    assert answer["images_per_s"] > 0
    assert (answer["train_s"], answer["eval_s"], answer["total_s"]) == (None, None, None)


def test_forecast_speed_leaves_a_busy_gpu_alone(forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "resolve_device", lambda name: "cuda:0")
    monkeypatch.setattr("medpeft_core.training.speed.describe_device", lambda device: "a GPU")
    monkeypatch.setattr(forecast, "time_on_gpu", lambda *_: pytest.fail("must not measure"))
    RunStore(get_home()).index.claim_device("cuda:0", "a-run", *process_identity(os.getpid()))
    with pytest.raises(ComputeError, match="the run a-run is using cuda:0 now"):
        forecaster.forecast_speed(make_config(train={"precision": "bf16"}))
