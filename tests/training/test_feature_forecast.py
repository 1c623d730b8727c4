"""What is told before its launch about a run on cached features: memory, and the time to compute them."""

from pathlib import Path

import pytest
from toy_set import SPLIT_SIZES, make_config, register_toy, train

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.training import forecast
from medpeft_core.training.build import build_model
from medpeft_core.training.forecast import Forecaster
from medpeft_core.training.speed import time_features

CACHED = {"method": {"name": "linear"}, "train": {"cached_features": True}}


WIDTH = 64  # of test_vit


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


def test_check_weighs_cached_features(forecaster: Forecaster) -> None:
    """The memory for training is that of the head; the network sees images in batches of an evaluation only."""
    prepare_dataset(make_config().data)
    plain = forecaster.check(make_config(method={"name": "linear"}, train={"batch_size": 512}))["memory_parts"]
    cached = make_config(**{**CACHED, "train": {"cached_features": True, "batch_size": 512}})
    parts = forecaster.check(cached)["memory_parts"]
    assert parts["features"] == sum(SPLIT_SIZES.values()) * WIDTH * 4
    assert "features" not in plain
    assert parts["activations"] < plain["activations"] / 10
    assert {name: parts[name] for name in ("weights", "gradients", "optimizer", "libraries")} == {
        name: plain[name] for name in ("weights", "gradients", "optimizer", "libraries")
    }


def test_forecast_speed_adds_the_features_that_are_not_there(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(**CACHED)
    prepare_dataset(config.data)
    monkeypatch.setattr("medpeft_core.training.feature_forecast.time_features", lambda *_: 0.9)
    train(make_config(method={"name": "linear"}))  # of other speed: it must not be taken for one like it
    answer = forecaster.forecast_speed(config)
    assert answer["features_s"] == pytest.approx(72 / 0.9)
    assert answer["total_s"] > 80 + 3 * (answer["train_s"] + answer["eval_s"])
    assert answer["source"] == (
        "Measured now on this CPU. That is the head alone; before, the features of 72 images are computed once, in "
        "about 80 s."
    )
    run = train(config)
    answer = forecaster.forecast_speed(make_config(**CACHED, data={"fraction": 0.5}))
    assert answer["features_s"] == 0
    assert answer["total_s"] < 80
    assert answer["source"] == (
        f"Measured by the run {run.run_id}. That is the head alone; the features of these images are stored already."
    )
    elsewhere = forecaster.forecast_speed(make_config(**CACHED, data={"dataset": "phantom"}))
    assert (elsewhere["total_s"], elsewhere["features_s"]) == (None, None)
    assert elsewhere["source"].endswith("before, the features of every image are computed once.")


def test_time_of_features_is_measured_on_the_whole_network() -> None:
    config = forecast.resolve_config(make_config(**CACHED))
    built = build_model(config, num_classes=2)
    sizes: list[int] = []
    forward = built.adapted.network.forward
    built.adapted.network.forward = lambda images: sizes.append(len(images)) or forward(images)
    assert time_features(built, config, "cpu") > 0
    assert sizes[:2] == [2, 2]
    assert max(sizes) == config.evaluation.batch_size
