"""Draws a heat map over an image for a file; what a page shows is blended in `pages/widgets/picture_blend.py`."""

import matplotlib
import numpy as np

COLOUR_MAP = "inferno"
MAX_OPACITY = 0.6


def build_overlay(
    pixels: np.ndarray, cam: np.ndarray, *, colour_map: str = COLOUR_MAP, opacity: float = MAX_OPACITY
) -> np.ndarray:
    """The image with the map in colour; where the map is 0 the image shows unchanged.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.
        cam: (H, W) in [0, 1].
        colour_map: a matplotlib colour map.
        opacity: of the strongest place, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    grey = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)  # (H, W, 3)
    colours = matplotlib.colormaps[colour_map](cam)[..., :3] * 255
    share = (opacity * cam)[..., None]
    return np.asarray((1 - share) * grey + share * colours).round().astype(np.uint8)
