"""From cached pixels to what the model sees: varied for training, plain for everything else."""

import math
from typing import Protocol

import torch
import torch.nn.functional as F

from medpeft_core.config import AugmentConfig
from medpeft_core.training.resample import centre_boxes, resample_boxes

ERASE_AREA = (0.02, 0.33)  # share of the image, as in Zhong et al. 2020
ERASE_RATIO = (0.3, 3.3)
RAND_AUGMENT_MAGNITUDE = 9
COLOURS = 3
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow turns colours into grey


class Transform(Protocol):
    """From what a source gives to what a network, or a head alone, sees."""

    def plain(self, pixels: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """As val, test and prediction see it."""

    def varied(self, pixels: torch.Tensor, sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As training sees it."""


class BatchTransform:
    """Pixels (B, C, H, W) uint8 to normalised images (B, 3, S, S), or (B, 1, S, S) for models of grey images.

    The random numbers come from the CPU generator that is given, as small tensors, so a batch is the same on every
    device and never makes the host wait for the GPU. For the same reason the sizes (B, 2) are always given on the CPU.
    """

    def __init__(
        self,
        augment: AugmentConfig,
        *,
        image_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: str,
        channels: int = COLOURS,
    ) -> None:
        self.augment = augment
        self.image_size = image_size
        self.channels = channels
        self.mean = build_constants(mean, channels).to(device)
        self.std = build_constants(std, channels).to(device)
        self.rand_augment = _build_rand_augment(augment.rand_augment) if augment.rand_augment else None

    def plain(self, pixels: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """The centre square, resampled and normalised: the same for val, test, prediction and maps."""
        images = self._resample(pixels, centre_boxes(sizes), sizes, None)
        return self._normalise(images.clamp(0, 1))

    def varied(self, pixels: torch.Tensor, sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A random crop, flip, rotation, brightness and contrast for each image by itself, then as `plain`."""
        config, batch, device = self.augment, len(pixels), pixels.device
        boxes = draw_crops(sizes, scale_min=config.crop_scale_min, ratio_max=config.crop_ratio_max, generator=generator)
        flips = torch.rand(batch, generator=generator) < config.flip
        images = self._resample(pixels, boxes, sizes, flips.to(device, non_blocking=True))
        if config.rotation_deg:
            angles = _uniform(batch, config.rotation_deg, generator)
            images = rotate(images, angles.to(device, non_blocking=True))
        if config.contrast or config.brightness:
            gain = 1 + _uniform(batch, config.contrast, generator)
            shift = _uniform(batch, config.brightness, generator)
            images = change_contrast(images, gain.to(device, non_blocking=True), shift.to(device, non_blocking=True))
        images = images.clamp(0, 1)
        if self.rand_augment is not None:
            images = self.rand_augment(images.expand(-1, COLOURS, -1, -1))
        images = self._normalise(images)
        if config.erasing:
            images = erase(images, config.erasing, generator)
        return images

    def _resample(
        self, pixels: torch.Tensor, boxes: torch.Tensor, sizes: torch.Tensor, flips: torch.Tensor | None
    ) -> torch.Tensor:
        is_padded = bool((sizes != torch.tensor(pixels.shape[-2:])).any())  # sizes are on the CPU: no waiting
        images = resample_boxes(
            pixels.float(),
            boxes.to(pixels.device, non_blocking=True),
            sizes=sizes.to(pixels.device, non_blocking=True) if is_padded else None,
            out_size=self.image_size,
            flips=flips,
            interpolation=self.augment.interpolation,
        )
        return images.div_(255)

    def _normalise(self, images: torch.Tensor) -> torch.Tensor:
        if self.channels < images.shape[1]:
            weights = torch.tensor(LUMA, device=images.device).view(1, COLOURS, 1, 1)
            images = (images * weights).sum(dim=1, keepdim=True)
        return (images.expand(-1, self.channels, -1, -1) - self.mean) / self.std  # grey repeated for three


def build_constants(values: tuple[float, ...], channels: int) -> torch.Tensor:
    """Mean or deviation of three colours as (1, C, 1, 1); their average where images are grey."""
    constants = torch.tensor(values)
    return (constants if channels == len(values) else constants.mean()).view(1, -1, 1, 1)


def draw_crops(sizes: torch.Tensor, *, scale_min: float, ratio_max: float, generator: torch.Generator) -> torch.Tensor:
    """Random resized crops (Szegedy et al. 2015): a share of the centre square's area, at a log-uniform aspect ratio.

    Args:
        sizes: (B, 2) height and width.
        scale_min: smallest share of the area, up to 1; 1 gives the centre square.
        ratio_max: widest aspect ratio; the narrowest is one over it.

    Returns:
        (B, 4) top, left, height, width, inside the image.
    """
    if scale_min == 1:
        return centre_boxes(sizes)
    batch = len(sizes)
    height, width = sizes[:, 0].float(), sizes[:, 1].float()
    area = torch.minimum(height, width).square() * (
        scale_min + (1 - scale_min) * torch.rand(batch, generator=generator)
    )
    ratio = torch.exp(math.log(ratio_max) * (2 * torch.rand(batch, generator=generator) - 1))
    crop_height = torch.minimum((area / ratio).sqrt(), height)
    crop_width = torch.minimum((area * ratio).sqrt(), width)
    top = (height - crop_height) * torch.rand(batch, generator=generator)
    left = (width - crop_width) * torch.rand(batch, generator=generator)
    return torch.stack((top, left, crop_height, crop_width), dim=1)


def rotate(images: torch.Tensor, angles_deg: torch.Tensor) -> torch.Tensor:
    """Each image turned around its centre; what comes in from outside is black, as around a film."""
    radians = angles_deg * (math.pi / 180)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    matrices = torch.stack((torch.stack((cos, -sin, zero), 1), torch.stack((sin, cos, zero), 1)), dim=1)  # (B, 2, 3)
    grid = F.affine_grid(matrices.to(images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def change_contrast(images: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Grey values spread around each image's mean by `gain`, then shifted."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * gain.view(-1, 1, 1, 1) + mean + shift.view(-1, 1, 1, 1)


def erase(images: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Random erasing (Zhong et al. 2020, arXiv:1708.04896): one rectangle of noise in some of the normalised images."""
    batch, _, height, width = images.shape
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * torch.rand(batch, generator=generator)
    low, high = math.log(ERASE_RATIO[0]), math.log(ERASE_RATIO[1])
    ratio = torch.exp(low + (high - low) * torch.rand(batch, generator=generator))
    box_height = ((area * ratio).sqrt().clamp(max=1) * height).round()
    box_width = ((area / ratio).sqrt().clamp(max=1) * width).round()
    top = (torch.rand(batch, generator=generator) * (height - box_height + 1)).floor()
    left = (torch.rand(batch, generator=generator) * (width - box_width + 1)).floor()
    is_chosen = torch.rand(batch, generator=generator) < probability
    rows, columns = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    in_rows = (rows >= top.view(-1, 1, 1)) & (rows < (top + box_height).view(-1, 1, 1))
    in_columns = (columns >= left.view(-1, 1, 1)) & (columns < (left + box_width).view(-1, 1, 1))
    inside = (in_rows & in_columns & is_chosen.view(-1, 1, 1)).unsqueeze(1)  # (B, 1, H, W)
    noise = torch.randn(images.shape, generator=generator)
    if images.is_cuda:  # noise is large: unpinned, it would make the host wait
        inside, noise = inside.pin_memory(), noise.pin_memory()
    return torch.where(
        inside.to(images.device, non_blocking=True), noise.to(images.device, images.dtype, non_blocking=True), images
    )


def _uniform(batch: int, limit: float, generator: torch.Generator) -> torch.Tensor:
    return (2 * torch.rand(batch, generator=generator) - 1) * limit


def _build_rand_augment(num_operations: int) -> torch.nn.Module:
    from kornia.augmentation.auto import RandAugment

    return RandAugment(n=num_operations, m=RAND_AUGMENT_MAGNITUDE)
