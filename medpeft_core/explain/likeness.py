"""How an image differs from those that a run was trained on, in words: colour, shape, size, brightness, layout.

A simple check, not a proof: an image without a warning may still be one that the model knows nothing about.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import MedPeftError
from medpeft_core.training.known_data import KnownData

NUM_SAMPLES = 400
GRID = 12  # cells on a side; coarse enough that the same body part looks alike
MARGIN = 0.1  # beyond the extremes of the sample, as a share of their range
UNTYPICAL_PERCENT = 2.0  # of the training images themselves lie as unusually as what is told of
MAX_KEPT = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingLooks:
    """What a sample of the training images looks like.

    Attributes:
        is_grey: all of them have one channel.
        aspects: smallest and largest width by height.
        smallest_side: of the source files, in pixels.
        brightness: smallest and largest mean grey value.
        contrast: smallest standard deviation of the grey values.
        mean: (GRID, GRID) average of the images, each standardised.
        agreement: correlation of one of them with this average that all but the least typical few per cent reach.
    """

    is_grey: bool
    aspects: tuple[float, float]
    smallest_side: int
    brightness: tuple[float, float]
    contrast: float
    mean: np.ndarray
    agreement: float


class Likeness:
    """Compares images with the training set of a run, as far as that is prepared. For one thread.

    Args:
        known: prepared data.
    """

    def __init__(self, known: KnownData) -> None:
        self._known = known
        self._kept: OrderedDict[str, TrainingLooks | None] = OrderedDict()

    def compare(self, data: DataConfig, pixels: np.ndarray, source_size: tuple[int, ...]) -> list[str]:
        """Sentences on what is unlike the training images; none where nothing is, or the set is not at hand.

        Args:
            data: of the run.
            pixels: uint8 (H, W) or (H, W, 3), scaled as for the cache.
            source_size: height and width of the file.
        """
        looks = self._find(data)
        return [] if looks is None else describe_differences(looks, pixels, source_size)

    def _find(self, data: DataConfig) -> TrainingLooks | None:
        key = repr(replace(data, fraction=1.0, fraction_seed=0))
        if key not in self._kept:
            self._kept[key] = self._measure(data)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _measure(self, data: DataConfig) -> TrainingLooks | None:
        try:
            prepared = self._known.find(data)
        except MedPeftError:  # the data are gone or have changed; the run can be used without them
            return None
        return None if prepared is None else measure_looks(prepared)


def measure_looks(prepared: PreparedData) -> TrainingLooks | None:
    """Look at a sample of the training images, evenly spread; None where there are none."""
    rows = prepared.cache_rows[(prepared.manifest.table["split"] == "train").to_numpy()]
    if len(rows) == 0:
        return None
    rows = rows[np.linspace(0, len(rows) - 1, min(NUM_SAMPLES, len(rows))).round().astype(int)]
    cache = prepared.cache
    sizes = cache.source_sizes[rows]
    greys = [_to_grey(cache.get(int(row)).transpose(1, 2, 0)) for row in rows]  # (H, W) each
    cells = np.stack([_standardise(grey) for grey in greys])  # (N, GRID, GRID)
    mean = cells.mean(axis=0)
    aspects = sizes[:, 1] / sizes[:, 0]
    means = [float(grey.mean()) for grey in greys]
    return TrainingLooks(
        is_grey=cache.channels == 1,
        aspects=(float(aspects.min()), float(aspects.max())),
        smallest_side=int(sizes.min()),
        brightness=(min(means), max(means)),
        contrast=min(float(grey.std()) for grey in greys),
        mean=mean,
        agreement=float(np.percentile([_correlate(cell, mean) for cell in cells], UNTYPICAL_PERCENT)),
    )


def describe_differences(looks: TrainingLooks, pixels: np.ndarray, source_size: tuple[int, ...]) -> list[str]:
    """Sentences for people, the most telling first; see `Likeness.compare`."""
    grey = _to_grey(pixels)
    height, width = source_size
    found: list[str] = []
    if _correlate(_standardise(grey), looks.mean) < looks.agreement:
        found.append(
            f"Its light and dark places lie unlike those of {100 - UNTYPICAL_PERCENT:g} % of the training images: it "
            "may show something else, or be turned, inverted or cut out differently."
        )
    if pixels.ndim == 3 and looks.is_grey:
        found.append("It is in colour, while all training images are grey.")
    low, high = looks.aspects
    if not low * (1 - MARGIN) <= width / height <= high * (1 + MARGIN):
        found.append(f"Its shape, {width} × {height}, is unlike that of the training images.")
    if min(height, width) < looks.smallest_side / 2:
        found.append(
            f"It is small: {width} × {height} pixels, while the training images have at least "
            f"{looks.smallest_side} on a side."
        )
    dark, bright = looks.brightness
    slack = MARGIN * max(bright - dark, 1.0)
    if not dark - slack <= float(grey.mean()) <= bright + slack:
        word = "darker" if grey.mean() < dark else "brighter"
        found.append(f"It is {word} than any training image that was looked at.")
    if float(grey.std()) < looks.contrast * 0.5:
        found.append("It has far less contrast than the training images.")
    return found


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3) uint8 as (H, W)."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))


def _standardise(grey: np.ndarray) -> np.ndarray:
    """The centre square as (GRID, GRID) with mean 0 and length 1; zeros where all is one grey."""
    side = min(grey.shape)
    top, left = ((length - side) // 2 for length in grey.shape)
    square = Image.fromarray(np.ascontiguousarray(grey[top : top + side, left : left + side]))
    cells = np.asarray(square.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)
    cells = cells - cells.mean()
    length = float(np.linalg.norm(cells))
    return cells / length if length > 0 else cells


def _correlate(cells: np.ndarray, mean: np.ndarray) -> float:
    length = float(np.linalg.norm(mean))
    return float((cells * mean).sum() / length) if length > 0 else 0.0
