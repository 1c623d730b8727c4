"""What a pre-training on phantoms can do with phantoms that it never saw, and how its error is measured."""

import numpy as np
import pytest
import torch
from toy_set import ToyControl

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.paths import get_home
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.build import (
    build_autoencoder,
    build_pretrain_parts,
    build_transform,
    complete_mae,
    take_train_split,
)
from medpeft_core.pretraining.mae import MaskedAutoencoder, draw_masking
from medpeft_core.pretraining.pictures import draw_noise, hide_patches, measure_rebuilding
from medpeft_core.pretraining.session import pretrain_run
from medpeft_core.pretraining.setup import check_pretraining, create_pretraining
from medpeft_core.runs.store import RunStore
from medpeft_core.training.checkpoint import load_checkpoint
from medpeft_core.training.data import PixelSource, split_data

CONFIG = PretrainConfig.from_dict(
    {
        "data": {"dataset": "phantom", "cache_size": 64, "options": {"num_patients": 60, "size": 64}},
        "encoder": {"name": "demo_vit", "image_size": 48},
        "mae": {"norm_pixels": False, "decoder_width": 64, "decoder_depth": 1},
        "optim": {"base_lr": 2.4e-2},
        "augment": {"crop_scale_min": 0.8},
        "train": {"epochs": 24, "batch_size": 8, "device": "cpu", "precision": "fp32", "show_every": 24},
    }
)


def test_unseen_phantoms_are_rebuilt_with_less_than_half_the_error_of_a_flat_fill() -> None:
    prepared = prepare_dataset(CONFIG.data)
    run = create_pretraining(RunStore(get_home()), check_pretraining(CONFIG, prepared))
    assert pretrain_run(run, ToyControl(run)) == "finished"
    autoencoder, config = build_autoencoder(run.pretrain_config())
    source = PixelSource(prepared.cache, "cpu")
    parts = build_pretrain_parts(
        config, autoencoder, train=take_train_split(prepared, config), source=source,
        checkpoint_dir=run.checkpoint_dir, encoders_dir=run.encoders_dir, pictures_dir=run.pictures_dir,
    )  # fmt: skip
    load_checkpoint(run.checkpoint_dir, adapted=parts.adapted, optimizer=parts.optimizer, scaler=None, device="cpu")
    unseen = split_data(prepared, config.data)["test"]
    images = parts.transform.plain(*source.batch(unseen.cache_rows))
    noise = draw_noise(len(images), autoencoder.num_patches, seed=5)
    masked_error, mean_fill_error = measure_rebuilding(autoencoder, images, noise)
    assert masked_error <= 0.5 * mean_fill_error, (masked_error, mean_fill_error)
    untrained, _ = build_autoencoder(CONFIG)
    assert measure_rebuilding(untrained, images, noise)[0] > mean_fill_error


def build_small(*, norm_pixels: bool) -> tuple[MaskedAutoencoder, torch.Tensor, torch.Tensor]:
    config = PretrainConfig.from_dict(
        {"encoder": {"name": "test_vit", "image_size": 64}, "mae": {"norm_pixels": norm_pixels, "decoder_depth": 1}}
    )
    autoencoder, _ = build_autoencoder(config)
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return autoencoder, images, draw_noise(3, autoencoder.num_patches, seed=1)


@pytest.mark.parametrize("norm_pixels", [False, True])
def test_errors_are_those_over_hidden_pixels_by_hand(norm_pixels: bool) -> None:
    autoencoder, images, noise = build_small(norm_pixels=norm_pixels)
    found = measure_rebuilding(autoencoder, images, noise)
    with torch.no_grad():
        rebuilt = autoencoder.eval().rebuild(images, noise)
    visible = draw_masking(noise, autoencoder.num_visible).visible
    errors, guesses = [], []
    for image in range(3):
        seen = {int(place) for place in visible[image]}
        squares = {p: (slice(p // 4 * 16, p // 4 * 16 + 16), slice(p % 4 * 16, p % 4 * 16 + 16)) for p in range(16)}
        flat = torch.stack([images[image, :, *squares[place]] for place in sorted(seen)]).mean()
        for place, (rows, columns) in squares.items():
            if place in seen:
                continue
            truth = images[image, :, rows, columns]
            errors.append((rebuilt[image, :, rows, columns] - truth).square().mean())
            guesses.append((truth - (truth.mean() if norm_pixels else flat)).square().mean())
    assert found == pytest.approx((float(torch.stack(errors).mean()), float(torch.stack(guesses).mean())), rel=1e-4)


def test_masked_picture_is_grey_where_the_encoder_sees_nothing() -> None:
    autoencoder, images, noise = build_small(norm_pixels=True)
    pixels = images.sigmoid()
    hidden = hide_patches(autoencoder, pixels, noise)
    is_grey = (autoencoder.split(hidden) == 0.5).all(dim=-1)
    assert is_grey.sum(dim=1).tolist() == [12, 12, 12]
    assert torch.equal(autoencoder.split(hidden)[~is_grey], autoencoder.split(pixels)[~is_grey])


@pytest.mark.parametrize(
    ("width", "depth", "expected"),
    [
        (768, 12, (512, 4, 16)),
        (1024, 24, (512, 8, 16)),
        (192, 6, (128, 2, 4)),
        (64, 10, (32, 3, 1)),
        (384, 12, (256, 4, 8)),
    ],
)
def test_decoder_is_as_wide_as_the_paper_says_and_half_as_deep(
    width: int, depth: int, expected: tuple[int, int, int]
) -> None:
    found = complete_mae(CONFIG.mae.__class__(), width=width, depth=depth)
    assert (found.decoder_width, found.decoder_depth, found.decoder_heads) == expected


def test_images_are_normalised_as_the_config_says() -> None:
    config = PretrainConfig.from_dict({"encoder": {"image_size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}})
    pixels = torch.full((1, 1, 32, 32), 255, dtype=torch.uint8)
    images = build_transform(config, device="cpu").plain(pixels, torch.tensor([[32, 32]]))
    np.testing.assert_allclose(images.numpy(), 2.0, atol=1e-6)
