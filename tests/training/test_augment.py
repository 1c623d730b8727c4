"""What a training batch looks like: varied for each image by itself, repeatable, and plain where nothing may vary."""

import pytest
import torch
from torchvision.transforms.v2.functional import resize

from medpeft_core.config import AugmentConfig
from medpeft_core.training.augment import BatchTransform, change_contrast, draw_crops, erase, rotate

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
NOTHING = AugmentConfig(
    crop_scale_min=1, crop_ratio_max=1, flip=0, rotation_deg=0, brightness=0, contrast=0, erasing=0, rand_augment=0
)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _transform(augment: AugmentConfig | None = None, image_size: int = 24) -> BatchTransform:
    return BatchTransform(augment or AugmentConfig(), image_size=image_size, mean=MEAN, std=STD, device="cpu")


def _pixels(batch: int = 4, channels: int = 1, height: int = 32, width: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (batch, channels, height, width)
    pixels = torch.randint(0, 256, shape, generator=_generator(), dtype=torch.uint8)
    return pixels, torch.tensor([[height, width]]).expand(batch, 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_plain_equals_a_reference_for_each_image(channels: int, interpolation: str) -> None:
    shapes = [(32, 40), (50, 30), (36, 36)]
    padded = torch.zeros(3, channels, 50, 40, dtype=torch.uint8)
    alone = []
    for index, (height, width) in enumerate(shapes):
        alone.append(_pixels(1, channels, height, width)[0][0])
        padded[index, :, :height, :width] = alone[-1]
    found = _transform(AugmentConfig(interpolation=interpolation)).plain(padded, torch.tensor(shapes))
    assert found.shape == (3, 3, 24, 24)
    for image, pixels in zip(found, alone, strict=True):
        height, width = pixels.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[:, top : top + side, left : left + side].float()
        small = resize(square, [24, 24], interpolation=_mode(interpolation), antialias=True).div(255).clamp(0, 1)
        expected = (small.expand(3, -1, -1) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        inside = slice(2, -2)  # at the cut edge the square still sees its neighbours
        assert (image - expected)[:, inside, inside].abs().max().item() < 1e-3


def _mode(name: str) -> object:
    from torchvision.transforms.v2 import InterpolationMode

    return InterpolationMode(name)


def test_varied_without_augmentation_equals_plain() -> None:
    pixels, sizes = _pixels(height=32, width=44)
    transform = _transform(NOTHING)
    assert torch.allclose(transform.varied(pixels, sizes, _generator()), transform.plain(pixels, sizes), atol=1e-5)


@pytest.mark.parametrize("rand_augment", [0, 2])
def test_varied_is_repeatable_by_its_generator(rand_augment: int) -> None:
    pixels, sizes = _pixels(height=32, width=44)
    transform = _transform(AugmentConfig(erasing=0.5, rand_augment=rand_augment))
    batches = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)  # as the loop does: kornia draws from the global generator
        batches.append(transform.varied(pixels, sizes, _generator(seed)))
    assert torch.equal(batches[0], batches[1])
    assert not torch.allclose(batches[0], batches[2], atol=1e-2)
    assert batches[0].shape == (4, 3, 24, 24)
    assert bool(torch.isfinite(batches[0]).all())


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_scale_min": 0.5},
        {"flip": 0.5},
        {"rotation_deg": 30},
        {"brightness": 0.2},
        {"contrast": 0.5},
        {"erasing": 0.5},
    ],
)
def test_varied_differs_from_image_to_image(changes: dict) -> None:
    one, sizes = _pixels(1)
    off = {name: getattr(NOTHING, name) for name in NOTHING.__dataclass_fields__}
    transform = _transform(AugmentConfig(**{**off, **changes}))
    batch = transform.varied(one.expand(12, -1, -1, -1), sizes.expand(12, 2), _generator())
    assert (
        len({round(float(image.double().square().sum() + (image * torch.arange(24.0)).sum()), 2) for image in batch})
        > 1
    )


def test_draw_crops_stay_inside_and_in_their_range() -> None:
    sizes = torch.tensor([[100, 100], [100, 200], [300, 120]]).repeat(400, 1)
    boxes = draw_crops(sizes, scale_min=0.5, ratio_max=1.25, generator=_generator())
    top, left, height, width = boxes.unbind(1)
    assert bool((top >= 0).all() and (left >= 0).all())
    assert bool((top + height <= sizes[:, 0] + 1e-3).all())
    assert bool((left + width <= sizes[:, 1] + 1e-3).all())
    share = height * width / sizes.amin(dim=1).square()
    assert 0.5 / 1.26 < share.min().item() < 0.55
    assert 0.95 < share.max().item() <= 1.0001
    ratio = width / height
    assert ratio.max().item() <= 1.2501
    assert ratio.min().item() >= 1 / 1.2501
    assert ratio.max().item() > 1.2
    assert ratio.min().item() < 1 / 1.2


def test_draw_crops_reach_the_ends_of_a_long_image() -> None:
    boxes = draw_crops(torch.tensor([[50, 200]]).repeat(300, 1), scale_min=0.6, ratio_max=1.1, generator=_generator())
    assert boxes[:, 1].min().item() < 10
    assert (boxes[:, 1] + boxes[:, 3]).max().item() > 190


@pytest.mark.parametrize("ratio_max", [1.0, 1.15])
def test_draw_crops_of_scale_one_are_off(ratio_max: float) -> None:
    """The setting promises that 1 turns crops off, but only did so together with an aspect ratio of 1."""
    sizes = torch.tensor([[40, 60], [70, 30]])
    boxes = draw_crops(sizes, scale_min=1, ratio_max=ratio_max, generator=_generator())
    assert boxes.tolist() == [[0, 10, 40, 40], [20, 0, 30, 30]]


def test_rotate_by_nothing_is_identity() -> None:
    images = torch.rand(2, 1, 9, 9, generator=_generator())
    assert torch.allclose(rotate(images, torch.zeros(2)), images, atol=1e-6)


def test_rotate_by_right_angles() -> None:
    images = torch.rand(3, 1, 8, 8, generator=_generator())
    found = rotate(images, torch.tensor([90.0, 180.0, 270.0]))
    for index in range(3):
        turned = torch.rot90(images[index], index + 1, dims=(1, 2))
        assert torch.allclose(found[index], turned, atol=1e-4)


def test_rotate_brings_black_in() -> None:
    found = rotate(torch.ones(1, 1, 20, 20), torch.tensor([45.0]))
    assert found[0, 0, 0, 0].item() == 0
    assert found[0, 0, 10, 10].item() == pytest.approx(1)


def test_change_contrast_spreads_around_the_mean() -> None:
    images = torch.rand(2, 1, 6, 6, generator=_generator())
    found = change_contrast(images, torch.tensor([2.0, 1.0]), torch.tensor([0.0, 0.25]))
    assert found[0].mean().item() == pytest.approx(images[0].mean().item(), abs=1e-6)
    assert found[0].std().item() == pytest.approx(2 * images[0].std().item(), rel=1e-5)
    assert torch.allclose(found[1], images[1] + 0.25)


def test_erase_fills_one_rectangle_with_noise() -> None:
    images = torch.full((200, 3, 20, 20), 7.0)
    found = erase(images, 1.0, _generator())
    for image in found:
        is_erased = (image != 7).any(dim=0)
        rows, columns = torch.nonzero(is_erased, as_tuple=True)
        box = is_erased[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert bool(box.all())
        assert 0.01 <= is_erased.float().mean().item() <= 0.40
    assert found[found != 7].std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(erase(images, 0.0, _generator()), images)
    chosen = (erase(images, 0.25, _generator()) != 7).flatten(1).any(dim=1).float().mean().item()
    assert chosen == pytest.approx(0.25, abs=0.1)
