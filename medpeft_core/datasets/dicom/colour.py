"""Colour pixels of DICOM files to 8-bit RGB: palettes, YBR, and more than 8 bits."""

import math
from pathlib import Path

import numpy as np

from medpeft_core.datasets.decoded import UnreadableImageError
from medpeft_core.datasets.dicom.header import Header
from medpeft_core.datasets.dicom.layout import PALETTE, Layout
from medpeft_core.datasets.dicom.segments import unfold_segments
from medpeft_core.datasets.dicom.windows import MAX_ENTRIES, read_entries

_ROWS_AT_ONCE = 64
_CHANNELS = ("Red", "Green", "Blue")
# PS3.3 C.7.6.3.1.2, solved for red, green and blue; the rows are Y, CB - 128 and CR - 128
_YBR_TO_RGB = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)


def render_colour(path: Path, stored: np.ndarray, header: Header, layout: Layout, model: str) -> np.ndarray:
    """uint8 (H, W, 3).

    Args:
        path: for messages.
        stored: (H, W) places in the palette, or (H, W, 3).
        header: of the file.
        layout: of its pixels.
        model: that `stored` is in.

    Raises:
        UnreadableImageError: its palette is missing or contradicts itself.
    """
    if layout.photometric == PALETTE:
        return _look_up(path, stored, header)
    pixels = np.empty(stored.shape, np.uint8)
    top = 2**layout.stored - 1
    for row in range(0, len(stored), _ROWS_AT_ONCE):
        block = stored[row : row + _ROWS_AT_ONCE]
        if layout.is_signed or layout.stored != 8:
            block = np.rint(np.clip(block.astype(np.float32) / top, 0, 1) * 255)
        if model.startswith("YBR_FULL"):
            block = block.astype(np.float32) - np.array([0, 128, 128], np.float32)
            block = np.clip(np.rint(block @ _YBR_TO_RGB), 0, 255)
        pixels[row : row + _ROWS_AT_ONCE] = block.astype(np.uint8)
    return pixels


def _look_up(path: Path, stored: np.ndarray, header: Header) -> np.ndarray:
    pixels = np.empty((*stored.shape, 3), np.uint8)
    for channel, name in enumerate(_CHANNELS):
        table, first = _read_palette(path, header, name)
        for row in range(0, len(stored), _ROWS_AT_ONCE):
            places = np.clip(stored[row : row + _ROWS_AT_ONCE].astype(np.int64) - first, 0, len(table) - 1)
            pixels[row : row + _ROWS_AT_ONCE, :, channel] = table[places]
    return pixels


def _read_palette(path: Path, header: Header, name: str) -> tuple[np.ndarray, int]:
    """uint8 (entries,) of one channel, and the stored value of its first entry."""
    descriptor = header.numbers(f"{name}PaletteColorLookupTableDescriptor")
    values = None
    if len(descriptor) == 3 and all(math.isfinite(number) for number in descriptor):
        entries, first, bits = (int(number) for number in descriptor)
        entries = entries % MAX_ENTRIES or MAX_ENTRIES
        values = read_entries(header, f"{name}PaletteColorLookupTableData", entries)
        if values is None:
            segments = header.content(f"Segmented{name}PaletteColorLookupTableData")
            values = unfold_segments(segments, entries, bits=bits, is_big_endian=header.is_big_endian)
    if values is None or bits not in (8, 16):
        reason = f"has no usable palette: the one for {name.lower()} is missing or contradicts itself"
        raise UnreadableImageError(path, reason, "Convert it to PNG with a DICOM viewer first.")
    if values.max() <= 255:  # also palettes that state 16 bits and hold 8
        return values.astype(np.uint8), first
    return np.rint(values.astype(np.float64) / 257).astype(np.uint8), first
