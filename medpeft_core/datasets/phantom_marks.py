"""Shortcuts: a side marker or a tube drawn over a synthetic radiograph, which models may learn instead of a disease."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from medpeft_core.datasets.phantom_job import SHORTCUT_BIT

LETTERS: dict[str, list[tuple[float, float]]] = {
    "L": [(0, 0), (0, 1), (0.62, 1)],
    "R": [(0, 1), (0, 0), (0.5, 0), (0.62, 0.12), (0.62, 0.38), (0.5, 0.5), (0, 0.5), (0.3, 0.5), (0.65, 1)],
}  # strokes in a box of height 1
FINE = 4  # the marks are drawn this much larger, then reduced


def draw_mark(
    pixels: np.ndarray, mask: np.ndarray, kind: str, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a shortcut over a picture.

    Args:
        pixels: (H, W) uint8.
        mask: (H, W) uint8 with the bits of the findings.
        kind: "marker" (a framed letter with a tag line near an upper corner) or "tube" (a chest drain).
        rng: decides place, size and brightness.

    Returns:
        New pixels, and the mask with bit SHORTCUT_BIT where the shortcut lies.
    """
    size = len(pixels)
    layer = Image.new("L", (size * FINE, size * FINE))
    draw = ImageDraw.Draw(layer)
    if kind == "marker":
        _marker(draw, size * FINE, rng)
    else:
        _tube(draw, size * FINE, rng)
    small = layer.resize((size, size), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.4 * size / 224))
    cover = np.array(small, dtype=np.float32) / 255
    strength = rng.uniform(0.75, 0.95) if kind == "marker" else rng.uniform(0.30, 0.50)
    target = np.float32(rng.uniform(215, 250))
    shown = pixels + strength * cover * np.maximum(target - pixels, 0)
    covered = cover > min(0.25, 0.5 * float(cover.max()))
    return np.round(shown).astype(np.uint8), mask | (covered.astype(np.uint8) << SHORTCUT_BIT)


def _marker(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    letter = "L" if rng.random() < 0.5 else "R"
    height = size * rng.uniform(0.055, 0.075)
    left = size * (rng.uniform(0.84, 0.90) if letter == "L" else rng.uniform(0.04, 0.10))
    top = size * rng.uniform(0.03, 0.12)
    width = max(1, round(size * 0.010))
    draw.line([(left + x * height, top + y * height) for x, y in LETTERS[letter]], fill=255, width=width, joint="curve")
    gap = 0.3 * height
    draw.rectangle(
        (left - gap, top - gap, left + 0.65 * height + gap, top + height + gap), outline=255, width=max(1, width // 2)
    )
    low = top + height + 2 * gap
    draw.line((left - gap, low, left + 0.65 * height + gap, low), fill=255, width=width)


def _tube(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    along = np.linspace(0, 1, 60)
    wall, tip = rng.uniform(0.08, 0.14), rng.uniform(0.30, 0.38)
    low, high = rng.uniform(0.62, 0.74), rng.uniform(0.22, 0.36)
    x = wall + (tip - wall) * np.sin(0.5 * np.pi * along) ** rng.uniform(0.7, 1.2)
    y = low + (high - low) * along ** rng.uniform(1.0, 1.6)
    if rng.random() < 0.5:
        x = 1 - x
    points = [(size * float(column), size * float(row)) for column, row in zip(x, y, strict=True)]
    draw.line(points, fill=255, width=max(2, round(size * 0.014)), joint="curve")
