"""What is known of a pre-training before it starts: sizes, mistakes that only the model tells, and its pace."""

from dataclasses import replace

import pytest
from stored_pretrainings import make_pretrain_config, make_pretraining

from medpeft_core.errors import BackboneError, MedPeftError
from medpeft_core.paths import write_json
from medpeft_core.pretrain_config import EncoderConfig, PretrainConfig, PretrainTrainConfig
from medpeft_core.pretraining.forecast import PretrainForecaster
from medpeft_core.runs.store import RunStore
from medpeft_core.training.device import describe_device


@pytest.fixture
def forecaster(home):
    return PretrainForecaster(RunStore(home))


def make_config(name="test_vit", *, image_size=64, weights="random", batch_size=4):
    encoder = EncoderConfig(name=name, image_size=image_size, weights=weights)
    return PretrainConfig(encoder=encoder, train=PretrainTrainConfig(batch_size=batch_size, device="cpu"))


def test_check_tells_sizes_and_fills_the_config_in(forecaster):
    found = forecaster.check(make_config())
    assert (found["num_patches"], found["num_visible_patches"]) == (16, 4)
    assert min(found["num_params"], found["num_decoder_params"]) > 1000
    assert PretrainConfig.from_dict(found["config"]).mae.decoder_width is not None


def test_check_of_weights_to_download_downloads_nothing(forecaster):
    """Tests have no network; a form that is only being filled in must not load hundreds of megabytes."""
    found = forecaster.check(make_config(weights="pretrained"))
    assert found["config"]["encoder"]["weights"] == "pretrained"


@pytest.mark.parametrize(
    ("name", "image_size", "sentence"),
    [("test_resnet", 64, "plain ViT"), ("no_such_model", 64, "no_such_model"), ("test_vit", 50, "50")],
)
def test_check_refuses_what_cannot_be_trained(forecaster, name, image_size, sentence):
    with pytest.raises(BackboneError, match=sentence):
        forecaster.check(make_config(name, image_size=image_size))


def test_check_refuses_a_file_that_is_no_weights(forecaster, tmp_path):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"not tensors")
    with pytest.raises(MedPeftError, match="broken.safetensors"):
        forecaster.check(make_config(weights=str(path)))


def test_pace_is_measured_once(forecaster, monkeypatch):
    calls = []

    def measure(step, first, limit):
        calls.append((first, limit))
        step(first)
        return 12.5

    monkeypatch.setattr("medpeft_core.pretraining.forecast.measure_pace", measure)
    found = [forecaster.pace(make_config()), forecaster.pace(replace(make_config()))]
    assert found == [{"images_per_s": 12.5, "source": "Measured now on cpu."}] * 2
    assert calls == [(2, 4)]


def test_pace_is_that_of_an_earlier_one_alike(forecaster, home):
    complete = PretrainConfig.from_dict(forecaster.check(make_config())["config"])
    values = make_pretrain_config("test_vit", 4, {})
    run = make_pretraining(home, backbone="test_vit", settings={"encoder": {"image_size": 64}})
    run.save_config(replace(values, encoder=complete.encoder, mae=complete.mae, train=complete.train))
    write_json(run.provenance_path, {**run.provenance(), "device_name": describe_device("cpu")})
    assert forecaster.pace(make_config()) == {
        "images_per_s": 80.0,
        "source": f"Measured by the pre-training {run.run_id}.",
    }
