"""Receivers show their models what the lab shows its own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medpeft_core.config import AugmentConfig
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.exports.preprocessing import compute_probs, prepare_image, read_rgb
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.training.augment import BatchTransform

CACHE_SIZE, IMAGE_SIZE = 96, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def draw(kind: str, folder: Path) -> Path:
    """One file of a kind that the lab reads in a way of its own."""
    rng = np.random.default_rng(0)
    wide, small, palette = (130, 211), (40, 33), (50, 60)
    path = folder / "film.png"
    if kind == "grey":
        Image.fromarray(rng.integers(0, 256, wide, dtype=np.uint8)).save(path)
    elif kind == "colour":
        Image.fromarray(rng.integers(0, 256, (*wide, 3), dtype=np.uint8)).save(path)
    elif kind == "small":
        Image.fromarray(rng.integers(0, 256, small, dtype=np.uint8)).save(path)
    elif kind == "12 bits":
        Image.fromarray(rng.integers(0, 4000, wide, dtype=np.uint16)).save(path)
    elif kind == "transparent":
        Image.fromarray(rng.integers(0, 256, (*wide, 4), dtype=np.uint8)).save(path)
    elif kind == "palette":
        Image.fromarray(rng.integers(0, 256, palette, dtype=np.uint8)).convert("P").save(path, transparency=3)
    elif kind == "1 bit":
        Image.fromarray(rng.integers(0, 256, wide, dtype=np.uint8)).convert("1").save(path)
    else:
        assert kind == "turned"
        path = folder / "film.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6  # stored lying on its side
        Image.fromarray(rng.integers(0, 256, wide, dtype=np.uint8)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(("interpolation", "channels"), [("bilinear", 3), ("bicubic", 3), ("bilinear", 1)])
@pytest.mark.parametrize("kind", ["grey", "colour", "small", "12 bits", "transparent", "palette", "1 bit", "turned"])
def test_prepared_image_is_what_the_lab_shows_its_models(
    kind: str, interpolation: str, channels: int, tmp_path: Path
) -> None:
    path = draw(kind, tmp_path)
    transform = BatchTransform(
        AugmentConfig(interpolation=interpolation),
        image_size=IMAGE_SIZE,
        mean=MEAN,
        std=STD,
        device="cpu",
        channels=channels,
    )
    mean, std = (MEAN, STD) if channels == 3 else ([sum(MEAN) / 3], [sum(STD) / 3])
    pixels, _, _ = load_for_model(path, CACHE_SIZE)
    expected = transform.plain(torch.tensor(pixels)[None], torch.tensor([pixels.shape[-2:]]))[0].numpy()
    found = prepare_image(
        path, cache_size=CACHE_SIZE, image_size=IMAGE_SIZE, mean=mean, std=std, interpolation=interpolation
    )
    assert found.shape == (channels, IMAGE_SIZE, IMAGE_SIZE)
    assert found.dtype == np.float32
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_pictures_that_the_lab_refuses_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 0.5, np.float32)).save(tmp_path / "film.tiff")
    with pytest.raises(ValueError, match="pixels of type F cannot be read"):
        prepare_image(
            tmp_path / "film.tiff", cache_size=96, image_size=64, mean=MEAN, std=STD, interpolation="bilinear"
        )


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_probabilities_are_those_of_the_lab(task: str) -> None:
    logits = np.array([-3.0, 0.2, 12.0])
    np.testing.assert_allclose(compute_probs(logits, task), probs_from_logits(logits[None], task)[0], rtol=1e-12)


def test_a_dicom_file_is_turned_away_with_what_to_do(tmp_path: Path) -> None:
    for name in ("scan", "old.dcm"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(100) if name == "scan" else bytes(50))
        with pytest.raises(ValueError, match=rf"{name} is a DICOM file\. Convert it to PNG first, with the view"):
            read_rgb(tmp_path / name)
