"""Paints over a part of an image from what surrounds it, so that the place does not show. NumPy only, light."""

import numpy as np

RING = 4  # pixels around the region from which brightness and grain are taken
MAX_STEPS = 500
RELAXATION = 1.7  # of a step; 1 is plain averaging, from 2 on it does not settle
CLOSE_ENOUGH = 0.05  # grey values that a step would still change; less cannot be seen


def grow(region: np.ndarray, radius: int) -> np.ndarray:
    """(H, W) bool: the region and everything within `radius` pixels of it, up, down and to the sides, step by step."""
    grown = region.copy()
    for _ in range(radius):
        wider = grown.copy()
        wider[1:] |= grown[:-1]
        wider[:-1] |= grown[1:]
        wider[:, 1:] |= grown[:, :-1]
        wider[:, :-1] |= grown[:, 1:]
        grown = wider
    return grown


def fill_region(pixels: np.ndarray, region: np.ndarray, *, seed: int) -> np.ndarray:
    """The image with the region painted over.

    The brightness inside is the smooth surface that fits the border (it solves Laplace's equation, like a soap film);
    the grain laid over it is as strong as in the ring around it, because a smooth spot in a grainy image would show.

    Args:
        pixels: (C, H, W) uint8.
        region: (H, W) bool, what is painted over; all of an image cannot be.
        seed: of the grain: the same seed gives the same pixels.

    Returns:
        A new (C, H, W) uint8, the same outside the region.

    Raises:
        ValueError: the region covers the whole image; a bug.
    """
    if not region.any():
        return pixels.copy()
    if region.all():
        raise ValueError("The region covers the whole image, so there is nothing to take its brightness from.")
    rows, columns = _find_window(region)
    inside = region[rows, columns]
    ring = grow(inside, RING) & ~inside
    filled, rng = pixels.copy(), np.random.default_rng(seed)
    for channel in filled:
        window = channel[rows, columns].astype(np.float64)
        smooth = _solve(window, inside, start=float(window[ring].mean()))
        grain = _measure_grain(window, ring) * rng.standard_normal(window.shape)
        painted = np.where(inside, smooth + grain, window)
        channel[rows, columns] = painted.round().clip(0, 255).astype(np.uint8)
    return filled


def _find_window(region: np.ndarray) -> tuple[slice, slice]:
    """The part of the image that holds the region and its ring."""
    slices = []
    for axis, length in ((1, region.shape[0]), (0, region.shape[1])):
        places = np.flatnonzero(region.any(axis=axis))
        slices.append(slice(max(int(places[0]) - RING - 1, 0), min(int(places[-1]) + RING + 2, length)))
    return slices[0], slices[1]


def _solve(window: np.ndarray, inside: np.ndarray, *, start: float) -> np.ndarray:
    """Every pixel inside is the mean of its four neighbours; beyond the image's edge lies what was there at the start.

    By over-relaxation of the two colours of a chessboard in turn, which needs a tenth of the steps of plain averaging.
    """
    current = np.pad(np.where(inside, start, window), 1, mode="edge")
    middle = current[1:-1, 1:-1]
    rows, columns = np.indices(inside.shape)
    colours = [inside & ((rows + columns) % 2 == parity) for parity in (0, 1)]
    for _ in range(MAX_STEPS):
        largest = 0.0
        for colour in colours:
            means = (current[:-2, 1:-1] + current[2:, 1:-1] + current[1:-1, :-2] + current[1:-1, 2:]) / 4
            change = np.where(colour, means - middle, 0.0)
            middle += RELAXATION * change
            largest = max(largest, float(np.abs(change).max()))
        if largest < CLOSE_ENOUGH:
            break
    return middle


def _measure_grain(window: np.ndarray, ring: np.ndarray) -> float:
    """Standard deviation of a pixel around what its neighbours would let expect, in the ring."""
    padded = np.pad(window, 1, mode="edge")
    means = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    # the mean of four neighbours has a quarter of the variance of one pixel, so the difference has 5/4 of it
    deviations = np.abs(window - means)[ring]
    return float(np.median(deviations)) / 0.6745 / (5 / 4) ** 0.5  # robust: bones have edges that are no grain
