"""Cuts a different rectangle out of each image of a batch and resamples it with anti-aliasing, in two matrix products.

Plain grid sampling aliases when it shrinks, so models would train on other pixels than they are tested on. Filter
weights are those of Pillow and torchvision (`antialias=True`): the kernel is stretched by the shrinking factor.
"""

import torch

BICUBIC_A = -0.5  # as in Pillow and in torch's anti-aliased bicubic


def resample_boxes(
    images: torch.Tensor,
    boxes: torch.Tensor,
    *,
    sizes: torch.Tensor | None,
    out_size: int,
    flips: torch.Tensor | None = None,
    interpolation: str = "bilinear",
) -> torch.Tensor:
    """Resample one box of each image to a square.

    Args:
        images: (B, C, H, W) floating point, padded at the bottom and right to a common size.
        boxes: (B, 4) top, left, height, width in pixels, may be fractional.
        sizes: (B, 2) height and width of the real content of each image; None when no image is padded.
        out_size: side S of the result.
        flips: (B,) boolean, true to mirror left and right.
        interpolation: "bilinear" or "bicubic".

    Returns:
        (B, C, S, S) in the type of `images`.
    """
    heights, widths = (None, None) if sizes is None else (sizes[:, 0], sizes[:, 1])
    height, width = images.shape[-2:]
    rows = _build_weights(boxes[:, 0], boxes[:, 2], heights, (height, out_size), interpolation)  # (B, S, H)
    columns = _build_weights(boxes[:, 1], boxes[:, 3], widths, (width, out_size), interpolation)  # (B, S, W)
    if flips is not None:
        columns = torch.where(flips[:, None, None], columns.flip(1), columns)
    narrow = images @ columns.to(images.dtype).unsqueeze(1).transpose(-1, -2)  # (B, C, H, S)
    return rows.to(images.dtype).unsqueeze(1) @ narrow  # (B, C, S, S)


def centre_boxes(sizes: torch.Tensor) -> torch.Tensor:
    """(B, 4) largest centred square of each image: what val, test and prediction look at."""
    side = sizes.amin(dim=1)
    top = ((sizes[:, 0] - side) / 2).floor()
    left = ((sizes[:, 1] - side) / 2).floor()
    return torch.stack((top, left, side, side), dim=1).float()


def _build_weights(
    start: torch.Tensor, length: torch.Tensor, limit: torch.Tensor | None, shape: tuple[int, int], interpolation: str
) -> torch.Tensor:
    """(B, S, N) share of each of N input pixels in each of S output pixels along one axis; each row sums to 1.

    Works in place on one array, because this is most of what a CPU spends on a batch.
    """
    num_in, num_out = shape
    step = (length / num_out).float()[:, None, None]
    shrink = 1 / step.clamp(min=1.0)
    out_index = torch.arange(num_out, device=start.device, dtype=torch.float32)[None, :, None]
    in_index = torch.arange(num_in, device=start.device, dtype=torch.float32)[None, None, :]
    centre = start.float()[:, None, None] + (out_index + 0.5) * step - 0.5
    weights = (in_index * shrink).sub(centre * shrink).abs_()  # distances, in stretched pixels
    # the bilinear weight comes out negative; the sign goes with the division below
    weights = weights.sub_(1).clamp_(max=0) if interpolation == "bilinear" else _bicubic(weights)
    if limit is not None:
        weights = weights.mul_(in_index < limit[:, None, None])
    return weights.div_(weights.sum(dim=-1, keepdim=True))


def _bicubic(distance: torch.Tensor) -> torch.Tensor:
    """Keys' cubic convolution kernel, IEEE ASSP 29(6), 1981, eq. 15."""
    near = ((BICUBIC_A + 2) * distance - (BICUBIC_A + 3)) * distance.square() + 1
    far = ((distance - 5) * distance + 8) * distance * BICUBIC_A - 4 * BICUBIC_A
    zero = torch.zeros_like(distance)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, zero))
