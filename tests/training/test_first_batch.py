"""The first batch that is shown is the first batch that is trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy_set import IMAGE_SIZE, LABELS, ToyControl, create_run, make_config, register_toy

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.training import first_batch
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.check import check_run
from medpeft_core.training.first_batch import build_first_batch, draw_first_batch, to_pixels
from medpeft_core.training.session import train_run


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


def complete(**sections: dict) -> RunConfig:
    config = make_config(**sections)
    return check_run(config, prepare_dataset(config.data)).config


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"augment": {"erasing": 1.0, "rotation_deg": 30.0}, "train": {"seed": 5}},
        {"augment": {"rand_augment": 2}, "data": {"fraction": 0.5}},
        {"backbone": {"mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]}, "train": {"batch_size": 64}},
    ],
    ids=["default", "erasing", "rand_augment_half", "larger_than_the_set"],
)
def test_first_batch_is_what_the_loop_feeds(monkeypatch: pytest.MonkeyPatch, sections: dict) -> None:
    """Everything in between is the run's own: data, order, seed, crops, noise."""
    fed: list[torch.Tensor] = []
    real = BatchTransform.varied

    def varied(self, pixels, sizes, generator):
        fed.append(real(self, pixels, sizes, generator))
        return fed[-1]

    run = create_run(make_config(**sections))
    with monkeypatch.context() as patch:
        patch.setattr(BatchTransform, "varied", varied)
        train_run(run, ToyControl(run, stop_at=8))
    config = run.config()
    torch.manual_seed(99)  # what was drawn before must not matter
    images, data = build_first_batch(config, prepare_dataset(config.data))
    assert torch.equal(images, fed[0])
    assert len(data) == len(images)


def test_first_batch_leaves_the_random_numbers_of_others() -> None:
    config = complete()
    prepared = prepare_dataset(config.data)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build_first_batch(config, prepared)
    assert torch.equal(torch.rand(3), expected)


def test_draw_first_batch_writes_pictures_with_names_and_labels(home: Path) -> None:
    config = complete(augment={"crop_scale_min": 1.0, "flip": 0.0, "rotation_deg": 0.0, "brightness": 0, "contrast": 0})
    prepared = prepare_dataset(config.data)
    answer = draw_first_batch(config, prepared, max_images=5)
    assert answer["image_size"] == IMAGE_SIZE
    assert len(answer["images"]) == 5
    table = prepared.manifest.table.set_index("image")
    for item in answer["images"]:
        path = Path(item["path"])
        assert path.is_relative_to(home / "cache" / "first_batches")
        row = table.loc[item["image"]]
        assert row["split"] == "train"
        assert item["labels"] == [label for label in LABELS if row[label] == 1]
        pixels = np.asarray(Image.open(path))
        assert pixels.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
        # without variation the picture is the centre square of the file itself
        source = np.asarray(Image.open(prepared.manifest.image_root / item["image"]))
        left = (source.shape[1] - IMAGE_SIZE) // 2
        assert np.abs(pixels[..., 0].astype(int) - source[:, left : left + IMAGE_SIZE]).max() <= 1


def test_draw_first_batch_uses_its_pictures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = complete()
    prepared = prepare_dataset(config.data)
    first = draw_first_batch(config, prepared)
    changed = complete(train={"seed": 1})
    assert draw_first_batch(changed, prepared) != first
    with monkeypatch.context() as patch:
        patch.setattr(first_batch, "build_first_batch", lambda *_: pytest.fail("must not build"))
        assert draw_first_batch(config, prepared) == first
        longer = complete(train={"epochs": 77}, method={"name": "full"})
        assert draw_first_batch(longer, prepared) == first, "neither epochs nor method change what is fed"
    (Path(first["images"][0]["path"]).parent / "batch.json").unlink()
    assert draw_first_batch(config, prepared) == first


def test_draw_first_batch_keeps_the_newest(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(first_batch, "MAX_KEPT", 2)
    prepared = prepare_dataset(make_config().data)
    config = complete()
    folders = []
    for seed in range(3):
        answer = draw_first_batch(complete(train={"seed": seed}), prepared, max_images=1)
        folders.append(Path(answer["images"][0]["path"]).parent)
        draw_first_batch(config, prepared, max_images=1)  # the first is looked at again and again
    assert [folder.exists() for folder in folders] == [True, False, True]
    assert len(list((home / "cache" / "first_batches").iterdir())) == 2


def test_to_pixels_undoes_the_normalisation() -> None:
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    grey = torch.linspace(0, 1, 256).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    normalised = (grey - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    pixels = to_pixels(normalised, mean=mean, std=std)
    assert pixels.shape == (2, 16, 16, 3)
    assert (pixels[1, ..., 2] == np.arange(256).reshape(16, 16)).all()
    assert (to_pixels(normalised * 100, mean=mean, std=std).min(), to_pixels(normalised, mean=mean, std=std).max()) == (
        0,
        255,
    )
