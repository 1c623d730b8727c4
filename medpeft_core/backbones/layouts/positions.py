"""Brings the position embedding of a file to the grid of a model, in timm's way or in that of MAE's code."""

import math

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed

ANTIALIAS, PLAIN = "antialias", "plain"


def resample_grid(positions: torch.Tensor, *, grid: tuple[int, int], way: str) -> torch.Tensor:
    """Positions (1, N, D) of a square grid as (1, H * W, D) of another.

    Args:
        positions: of patches only, class and register tokens apart.
        grid: rows and columns of the new grid.
        way: "antialias" as timm does it, or "plain" as `interpolate_pos_embed` of MAE and MRM does: bicubic alone.
    """
    side = math.isqrt(positions.shape[1])
    if (side, side) == grid:
        return positions
    if way == ANTIALIAS:
        return resample_abs_pos_embed(positions, new_size=list(grid), num_prefix_tokens=0)
    planes = positions.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, side, side)
    planes = F.interpolate(planes, size=grid, mode="bicubic", align_corners=False)
    return planes.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)  # (1, H * W, D)


def count_prefix_positions(num_positions: int, num_prefix_tokens: int) -> int | None:
    """How many of a file's positions belong to class and register tokens; None where the rest is no square grid."""
    for count in (num_prefix_tokens, 1, 0):
        rest = num_positions - count
        if rest > 0 and math.isqrt(rest) ** 2 == rest:
            return count
    return None
