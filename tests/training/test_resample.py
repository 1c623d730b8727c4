"""Resampling boxes of a batch against torchvision's anti-aliased resize of each image by itself."""

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from medpeft_core.training.resample import centre_boxes, resample_boxes

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def _images(*shape: int, seed: int = 0) -> torch.Tensor:
    return 255 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _resize(image: torch.Tensor, size: int, mode: str) -> torch.Tensor:
    return resize(image, [size, size], interpolation=MODES[mode], antialias=True)


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize(
    ("height", "width", "out_size"), [(64, 64, 32), (61, 47, 20), (20, 33, 50), (32, 32, 32), (100, 7, 9)]
)
def test_resample_whole_images_equals_torchvision(mode: str, height: int, width: int, out_size: int) -> None:
    images = _images(3, 2, height, width)
    boxes = torch.tensor([[0.0, 0.0, height, width]]).expand(3, 4)
    found = resample_boxes(images, boxes, sizes=None, out_size=out_size, interpolation=mode)
    assert found.shape == (3, 2, out_size, out_size)
    assert (found - _resize(images, out_size, mode)).abs().max().item() < 0.01  # of 255


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("out_size", [17, 48])
def test_resample_padded_images_equals_each_by_itself(mode: str, out_size: int) -> None:
    shapes = [(40, 40), (31, 64), (64, 22)]
    padded = torch.full((3, 1, 64, 64), 9999.0)  # the padding must count nowhere
    alone = []
    for index, (height, width) in enumerate(shapes):
        alone.append(_images(1, height, width, seed=index))
        padded[index, :, :height, :width] = alone[-1]
    sizes = torch.tensor(shapes)
    boxes = torch.cat((torch.zeros(3, 2), sizes.float()), dim=1)
    found = resample_boxes(padded, boxes, sizes=sizes, out_size=out_size, interpolation=mode)
    for image, expected in zip(found, alone, strict=True):
        assert (image - _resize(expected, out_size, mode)).abs().max().item() < 0.01


@pytest.mark.parametrize("mode", list(MODES))
def test_resample_box_equals_crop_then_resize_inside(mode: str) -> None:
    """Equal but at the border, where the crop has lost the neighbours that the box still sees."""
    images = _images(2, 1, 80, 90)
    boxes = torch.tensor([[10.0, 20.0, 48.0, 48.0], [3.0, 5.0, 60.0, 72.0]])
    found = resample_boxes(images, boxes, sizes=None, out_size=24, interpolation=mode)
    for index, (top, left, height, width) in enumerate(boxes.int().tolist()):
        expected = _resize(images[index, :, top : top + height, left : left + width], 24, mode)
        inside = slice(2, -2)
        assert (found[index, :, inside, inside] - expected[:, inside, inside]).abs().max().item() < 0.01


def test_resample_a_box_of_the_same_size_is_a_crop() -> None:
    images = _images(1, 1, 40, 40)
    found = resample_boxes(images, torch.tensor([[5.0, 7.0, 16.0, 16.0]]), sizes=None, out_size=16)
    assert torch.allclose(found, images[:, :, 5:21, 7:23], atol=1e-3)


def test_resample_a_fractional_box_lies_between_its_neighbours() -> None:
    ramp = torch.arange(40.0).expand(1, 1, 40, 40)
    found = resample_boxes(ramp, torch.tensor([[8.0, 8.25, 16.0, 16.0]]), sizes=None, out_size=16)
    assert torch.allclose(found[0, 0, 0], torch.arange(16.0) + 8.25, atol=1e-4)


def test_resample_flips_only_the_chosen() -> None:
    images = _images(2, 1, 30, 30)
    boxes = torch.tensor([[0.0, 0.0, 30.0, 30.0]]).expand(2, 4)
    plain = resample_boxes(images, boxes, sizes=None, out_size=12)
    found = resample_boxes(images, boxes, sizes=None, out_size=12, flips=torch.tensor([True, False]))
    assert torch.allclose(found[0], plain[0].flip(-1), atol=1e-4)
    assert torch.equal(found[1], plain[1])


@pytest.mark.parametrize("mode", list(MODES))
def test_resample_keeps_a_constant(mode: str) -> None:
    boxes = torch.tensor([[0.3, 1.7, 9.1, 23.3]])
    found = resample_boxes(torch.full((1, 1, 30, 30), 7.0), boxes, sizes=None, out_size=13, interpolation=mode)
    assert torch.allclose(found, torch.full_like(found, 7.0), atol=1e-5)


def test_resample_shrinking_does_not_alias() -> None:
    """A one-pixel chequerboard becomes grey; plain sampling would make it black or white."""
    board = 255.0 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float()
    box = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    found = resample_boxes(board.view(1, 1, 64, 64), box, sizes=None, out_size=8)
    assert (found - 127.5).abs().max().item() < 5


def test_centre_boxes_are_the_largest_centred_squares() -> None:
    sizes = torch.tensor([[10, 10], [10, 21], [30, 7], [1, 1]])
    expected = [[0, 0, 10, 10], [0, 5, 10, 10], [11, 0, 7, 7], [0, 0, 1, 1]]
    assert centre_boxes(sizes).tolist() == expected
