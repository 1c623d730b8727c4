"""Stored grey values to 8 bits in the order of the standard: modality LUT, VOI LUT or window, inversion (PS3.3 C.11).

What the file leaves out, or states so that nothing could be seen, is replaced by the percentiles 1 to 99 and said.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medpeft_core.datasets.dicom.header import Header
from medpeft_core.datasets.dicom.layout import Layout
from medpeft_core.datasets.dicom.windows import LookupTable, Window, list_windows, read_table

LOWEST_PERCENTILE, HIGHEST_PERCENTILE = 1.0, 99.0
MAX_TABLE = 1 << 20  # distinct stored values up to which all are brought to 8 bits first, and the pixels looked up
FLAT_SHARE = 0.9995  # of all pixels: when as many have one grey value, there is no picture
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
AUTO, PERCENTILES, FULL, STORED = "auto", "percentiles", "full", "stored"
_ROWS_AT_ONCE = 64

Mapping = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """The stored values of one frame, padding left out.

    Attributes:
        values: (V,) distinct ones, ascending.
        counts: (V,) pixels that have each.
    """

    values: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class GreyPicture:
    """uint8 (H, W), the window that was used (see `Choices.window`), the offers, and what was changed."""

    pixels: np.ndarray
    window: str
    windows: tuple[str, ...]
    warnings: tuple[str, ...]


def render_grey(stored: np.ndarray, header: Header, layout: Layout, *, wanted: str, frame: int) -> GreyPicture:
    """What a radiologist would be shown.

    Args:
        stored: (H, W) whole numbers.
        header: of the file.
        layout: of its pixels.
        wanted: see `Reading.window`.
        frame: counted from 0.
    """
    warnings: list[str] = []
    modality = _find_modality(header, layout, frame, warnings)
    histogram = count_values(stored, _find_padding(header, layout))
    values = modality(histogram.values.astype(np.float64))  # (V,)
    offers = list_windows(header, frame)
    window, to_grey = _choose(wanted, offers, values, histogram.counts, layout, modality is _keep, warnings)
    # A film that is stored as a negative says so by MONOCHROME1, by INVERSE, or, as the standard asks of digital films
    # (PS3.3 C.8.11.3), by both. The two are one statement, so together they turn the picture over once. MONOCHROME2
    # with INVERSE is against that rule for films, but elsewhere INVERSE is the last step before the screen (C.11.6),
    # and general viewers take it as that: once, too.
    is_negative = layout.photometric == "MONOCHROME1" or header.text("PresentationLUTShape").upper() == "INVERSE"

    def finish(numbers: np.ndarray) -> np.ndarray:
        grey = np.rint(np.clip(to_grey(modality(numbers)), 0.0, 1.0) * 255).astype(np.uint8)
        return 255 - grey if is_negative else grey

    titles = tuple(offer.title for offer in offers)
    return GreyPicture(pixels=_apply(finish, stored), window=window, windows=titles, warnings=tuple(warnings))


def count_values(stored: np.ndarray, padding: tuple[int, int] | None) -> Histogram:
    """How often each value occurs, without those from the first to the last of `padding` where others are left."""
    lowest, highest = int(stored.min()), int(stored.max())
    if highest - lowest < MAX_TABLE:
        all_counts = np.zeros(highest - lowest + 1, np.int64)
        for row in range(0, len(stored), _ROWS_AT_ONCE):
            block = stored[row : row + _ROWS_AT_ONCE].astype(np.int64).ravel() - lowest
            all_counts += np.bincount(block, minlength=len(all_counts))
        values = np.flatnonzero(all_counts)
        counts, values = all_counts[values], values + lowest
    else:
        values, counts = np.unique(stored, return_counts=True)
    if padding is not None:
        is_kept = (values < padding[0]) | (values > padding[1])
        if is_kept.any():
            values, counts = values[is_kept], counts[is_kept]
    return Histogram(values=values, counts=counts)


def find_percentile(values: np.ndarray, counts: np.ndarray, percent: float) -> float:
    """The percentile of all pixels, linear between two of them, out of their distinct values and counts."""
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(counts[order])
    place = percent / 100 * (int(ends[-1]) - 1)
    below, above = (int(np.searchsorted(ends, math.floor(place) + step, side="right")) for step in (0, 1))
    low, high = values[order[below]], values[order[min(above, len(values) - 1)]]
    return float(low + (high - low) * (place - math.floor(place)))


def _find_modality(header: Header, layout: Layout, frame: int, warnings: list[str]) -> Mapping:
    """Stored values to the units of the device."""
    for item in header.items("ModalityLUTSequence")[:1]:
        table = read_table(item)
        if table is not None:
            return table.starting_below(-1 if layout.is_signed else 0).apply
        warnings.append("The file's modality table contradicts itself; the values were taken as stored.")
        return _keep
    place = header.of_frame("PixelValueTransformationSequence", frame)
    slope, intercept = place.number("RescaleSlope"), place.number("RescaleIntercept")
    if slope is None and intercept is None:
        return _keep
    slope, intercept = (1.0 if slope is None else slope), (intercept or 0.0)
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        warnings.append(f"The file's rescale slope {slope:g} and intercept {intercept:g} make no sense; left out.")
        return _keep
    if (slope, intercept) == (1.0, 0.0):
        return _keep
    return lambda numbers: numbers * slope + intercept


def _choose(
    wanted: str, offers: tuple[Window, ...], values: np.ndarray, counts: np.ndarray, layout: Layout, is_plain: bool,
    warnings: list[str],
) -> tuple[str, Mapping]:  # fmt: skip
    """The name of what was chosen, and how it brings values to 0 to 1."""
    if wanted == FULL:
        return FULL, _stretch(float(values.min()), float(values.max()))
    if wanted != PERCENTILES:
        number = 1 if wanted == AUTO else int(wanted)
        if number > len(offers) > 0:
            has = "one window" if len(offers) == 1 else f"{len(offers)} windows"
            warnings.append(f"The file has {has}, so window {number} was not found; its first was used.")
            number = 1
        if offers:
            problem, mapping = _build(offers[number - 1], values, counts, warnings)
            if mapping is not None:
                return str(number), mapping
            warnings.append(
                f"Window {number} of the file ({offers[number - 1].title}) {problem}; the percentiles 1 to 99 of its "
                "values were used instead."
            )
        elif layout.stored <= 8 and is_plain:
            if wanted != AUTO:
                warnings.append(f"The file has no window {number}; its 8-bit values were shown as stored.")
            lowest = -(2.0 ** (layout.stored - 1)) if layout.is_signed else 0.0
            return STORED, _stretch(lowest, lowest + 2.0**layout.stored - 1)
        else:
            warnings.append("The file has no window; the percentiles 1 to 99 of its values were used.")
    return PERCENTILES, _stretch_percentiles(values, counts)


def _build(offer: Window, values: np.ndarray, counts: np.ndarray, warnings: list[str]) -> tuple[str, Mapping | None]:
    """What is wrong with an offer, or how it works."""
    if offer.is_table:
        if offer.table is None:
            return "contradicts itself", None
        mapping = _use_table(offer.table.starting_below(float(values.min())))
    else:
        function = offer.function if offer.function in FUNCTIONS else FUNCTIONS[0]
        is_wide = offer.width >= 1 if function == "LINEAR" else offer.width > 0
        if not is_wide or not math.isfinite(offer.width) or not math.isfinite(offer.center):
            return "is impossible", None
        if function != offer.function:
            warnings.append(f"The file's VOI LUT function {offer.function!r} is unknown; LINEAR was used.")
        mapping = _use_window(offer.center, offer.width, function)
    grey = np.rint(mapping(values) * 255).astype(np.int64)
    of_all = np.bincount(grey, weights=counts)
    is_flat = of_all.max() > FLAT_SHARE * of_all.sum()
    if is_flat and counts.max() <= FLAT_SHARE * counts.sum():
        return "leaves one grey value of the whole picture", None
    return "", mapping


def _use_table(table: LookupTable) -> Mapping:
    return lambda values: table.apply(values) / (2**table.bits - 1)


def _use_window(center: float, width: float, function: str) -> Mapping:
    """PS3.3 C.11.2.1.2.1 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT), to 0 to 1."""
    if function == "SIGMOID":
        return lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return lambda values: np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return lambda values: (values > center - 0.5).astype(np.float64)
    return lambda values: np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _stretch_percentiles(values: np.ndarray, counts: np.ndarray) -> Mapping:
    low, high = (find_percentile(values, counts, percent) for percent in (LOWEST_PERCENTILE, HIGHEST_PERCENTILE))
    if low == high:  # nearly all pixels have one value
        low, high = float(values.min()), float(values.max())
    return _stretch(low, high)


def _stretch(low: float, high: float) -> Mapping:
    if low == high:
        return lambda values: np.zeros(values.shape)
    return lambda values: np.clip((values - low) / (high - low), 0.0, 1.0)


def _find_padding(header: Header, layout: Layout) -> tuple[int, int] | None:
    """The lowest and highest value that stands for no value, as numbers are stored (PS3.3 C.7.5.1.1.2)."""
    ends = [header.number(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    found = [int(value) for value in ends if value is not None and math.isfinite(value)]
    if ends[0] is None or not found:
        return None
    whole = 2**layout.allocated
    unsigned = [value % whole for value in found]  # a signed one may be written as if it were not
    numbers = [value - whole if layout.is_signed and value >= whole // 2 else value for value in unsigned]
    return min(numbers), max(numbers)


def _apply(finish: Mapping, stored: np.ndarray) -> np.ndarray:
    """`finish` for every pixel, by a table of all values where that is short."""
    lowest, highest = int(stored.min()), int(stored.max())
    pixels = np.empty(stored.shape, np.uint8)
    table = finish(np.arange(lowest, highest + 1, dtype=np.float64)) if highest - lowest < MAX_TABLE else None
    for row in range(0, len(stored), _ROWS_AT_ONCE):
        block = stored[row : row + _ROWS_AT_ONCE]
        pixels[row : row + _ROWS_AT_ONCE] = (
            finish(block.astype(np.float64)) if table is None else table[block.astype(np.int64) - lowest]
        )
    return pixels


def _keep(values: np.ndarray) -> np.ndarray:
    return values
