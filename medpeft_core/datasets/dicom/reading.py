"""A DICOM file to 8-bit pixels: which frame, then grey or colour, then square pixels."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from medpeft_core.datasets.decoded import (
    AS_STORED,
    MAX_PIXELS,
    Choices,
    DecodedImage,
    Reading,
    drop_equal_channels,
)  # fmt: skip
from medpeft_core.datasets.dicom.colour import render_colour
from medpeft_core.datasets.dicom.frames import read_frame
from medpeft_core.datasets.dicom.grey import render_grey
from medpeft_core.datasets.dicom.guarded import inflate_if_deflated
from medpeft_core.datasets.dicom.header import Header, read_header
from medpeft_core.datasets.dicom.layout import GREY, choose_frame, read_layout, square_size

BURNED_IN = "The file says that text is burned into its pixels (BurnedInAnnotation); it may name the patient."
OVERLAY = "The file has drawings beside the pixels (overlays); they are not shown."


def read_dicom(
    path: Path, file: BinaryIO, reading: Reading = AS_STORED, *, max_pixels: int = MAX_PIXELS
) -> DecodedImage:
    """One frame as a radiologist would be shown it.

    Decoded, modality LUT, VOI LUT or window, inversion, in this order (PS3.3 C.11). A frame whose pixels are not square
    by the file's tags is stretched until they are.

    Args:
        path: for messages.
        file: open at any place.
        reading: which window and which frame.
        max_pixels: refused above this, before a pixel is decoded.

    Raises:
        UnreadableImageError: no pixels, cut off, damaged, a transfer syntax without decoder, a frame that it lacks, or
            a file built to take forever.
    """
    file = inflate_if_deflated(path, file)
    header = read_header(path, file)
    layout = read_layout(path, header, max_pixels)
    frame = choose_frame(path, reading.frame, layout.num_frames)
    stored, model = read_frame(path, file, header, layout, frame)
    warnings: tuple[str, ...]
    if layout.photometric in GREY:
        picture = render_grey(stored, header, layout, wanted=reading.window, frame=frame)
        pixels, window, windows, warnings = picture.pixels, picture.window, picture.windows, picture.warnings
    else:
        pixels = drop_equal_channels(render_colour(path, stored, header, layout, model))
        window, windows, warnings = "", (), ()
    pixels, stretched = _make_square(pixels, square_size(header, layout, frame), max_pixels)
    choices = Choices(window=window, windows=windows, frame=frame + 1, num_frames=layout.num_frames)
    notes = (*warnings, *stretched, *_describe(header, choices))
    return DecodedImage(pixels=pixels, warnings=notes, choices=choices)


def read_dicom_size(path: Path, file: BinaryIO) -> tuple[int, int]:
    """(height, width) that `read_dicom` would give, without decoding.

    Raises:
        UnreadableImageError: its tags cannot be read or name no pixels.
    """
    header = read_header(path, inflate_if_deflated(path, file))
    layout = read_layout(path, header, MAX_PIXELS)
    height, width = square_size(header, layout, 0)
    return (height, width) if height * width <= MAX_PIXELS else (layout.rows, layout.columns)


def _make_square(pixels: np.ndarray, size: tuple[int, int], max_pixels: int) -> tuple[np.ndarray, tuple[str, ...]]:
    height, width = pixels.shape[:2]
    if size == (height, width):
        return pixels, ()
    if size[0] * size[1] > max_pixels:
        return pixels, ("The file's pixels are not square; the picture is too large to be stretched.",)
    stretched = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    note = f"The file's pixels are not square; it was stretched from {width} x {height} to {size[1]} x {size[0]}."
    return np.asarray(stretched), (note,)


def _describe(header: Header, choices: Choices) -> list[str]:
    notes = []
    if choices.num_frames > 1:
        notes.append(f"The file has {choices.num_frames} frames; number {choices.frame} was read.")
    if header.text("BurnedInAnnotation").upper() == "YES":
        notes.append(BURNED_IN)
    if header.has_overlay:
        notes.append(OVERLAY)
    return notes
