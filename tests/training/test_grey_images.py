"""Models of grey images: one channel all the way, and the same features as the colour model they come from."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from toy_set import make_config, register_toy, train

from medpeft_core.config import AugmentConfig
from medpeft_core.training.augment import LUMA, BatchTransform
from medpeft_core.training.build import build_bare_backbone, build_transform
from medpeft_core.training.first_batch import to_pixels
from medpeft_core.training.forecast import Forecaster

MEAN, STD = (0.4978,) * 3, (0.2449,) * 3  # MRM's


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A colour model's file."""
    backbone = build_bare_backbone(make_config(), num_classes=2)
    path = tmp_path / "colour.safetensors"
    safetensors.torch.save_file(dict(backbone.model.state_dict()), path)
    return str(path)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_grey_model_gives_the_logits_of_the_colour_model(tmp_path: Path, name: str) -> None:
    parts = {"name": name, "mean": MEAN, "std": STD}
    first = build_bare_backbone(make_config(backbone=parts, method={"name": "linear"}), num_classes=2)
    path = tmp_path / "colour.safetensors"
    safetensors.torch.save_file(dict(first.model.state_dict()), path)
    pixels = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    logits = {}
    for channels in (1, 3):
        section = {**parts, "weights": str(path), "channels": channels}
        config = make_config(backbone=section, method={"name": "linear"})
        backbone = build_bare_backbone(config, num_classes=2)
        backbone.model.get_submodule(backbone.head).load_state_dict(first.model.get_submodule(first.head).state_dict())
        images = build_transform(config, backbone, device="cpu").plain(pixels, torch.full((3, 2), 32))
        assert images.shape[:2] == (3, channels)
        with torch.no_grad():
            logits[channels] = backbone.model.eval()(images)
    torch.testing.assert_close(logits[1], logits[3], rtol=1e-4, atol=1e-5)
    assert logits[3].std() > 0


def test_grey_model_is_trained_weighed_and_evaluated(weights: str, forecaster: Forecaster) -> None:
    config = make_config(backbone={"weights": weights, "channels": 1}, method={"name": "lora"}, train={"epochs": 1})
    told = forecaster.check(config)
    assert told["num_params"] == forecaster.check(make_config(method={"name": "lora"}))["num_params"] - 2 * 64 * 16 * 16
    run = train(config)
    assert run.metrics()["test"]
    assert run.config().backbone.channels == 1
    assert len(set(run.config().backbone.mean)) == 1


def test_grey_transform_weighs_colours_and_takes_the_average_of_constants() -> None:
    transform = BatchTransform(
        AugmentConfig(rand_augment=1), image_size=16, mean=(0.3, 0.4, 0.5), std=(0.1, 0.2, 0.3), device="cpu",
        channels=1,
    )  # fmt: skip
    colours = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, -1, 16, 16)
    sizes = torch.full((2, 2), 16)
    grey = sum(weight * value / 255 for weight, value in zip(LUMA, (200, 100, 50), strict=True))
    wanted = torch.full((2, 1, 16, 16), (grey - 0.4) / 0.2)
    torch.testing.assert_close(transform.plain(colours, sizes), wanted, rtol=1e-4, atol=1e-5)
    assert transform.varied(colours, sizes, torch.Generator().manual_seed(0)).shape == (2, 1, 16, 16)
    shown = to_pixels(wanted, mean=(0.3, 0.4, 0.5), std=(0.1, 0.2, 0.3))
    assert shown.shape == (2, 16, 16, 3)
    assert abs(int(shown[0, 0, 0, 0]) - round(grey * 255)) <= 1
