"""Decoding one image file into plain 8-bit pixels, and scaling them; which files and when is left to others."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from medpeft_core.datasets.decoded import AS_STORED as AS_STORED
from medpeft_core.datasets.decoded import MAX_PIXELS as MAX_PIXELS
from medpeft_core.datasets.decoded import MIN_SIDE as MIN_SIDE
from medpeft_core.datasets.decoded import MISSING_REASON as MISSING_REASON
from medpeft_core.datasets.decoded import DecodedImage as DecodedImage
from medpeft_core.datasets.decoded import Reading as Reading
from medpeft_core.datasets.decoded import UnreadableImageError as UnreadableImageError
from medpeft_core.datasets.decoded import check_size, drop_equal_channels
from medpeft_core.datasets.dicom.guarded import START_BYTES, has_prefix, is_dicom
from medpeft_core.datasets.dicom.reading import read_dicom, read_dicom_size

GREY_BITS = (8, 10, 12, 14, 16)
_ROWS_AT_ONCE = 64
_COLOUR_CUT = ("The file has 16 bits a colour; the upper 8 of each were read.",)

# Classes instead of Image.open: that one warns or raises by a global limit before the size can be told.
_OPENERS: tuple[tuple[bytes, Callable[..., ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"BM", BmpImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
)
# What Pillow's decoders raise on damaged files, over all formats above.
_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def read_image(path: Path, reading: Reading = AS_STORED) -> DecodedImage:
    """Decode one frame of a DICOM file, or the first frame of a PNG, JPEG, BMP or TIFF file, completely.

    DICOM: see `dicom.reading.read_dicom`. Of the others, colour images with three equal channels become grey, and
    transparency is laid over black. Grey with more than 8 bits keeps its range: it is divided by the full range of the
    smallest of 8, 10, 12, 14 and 16 bits that holds its maximum.

    Args:
        path: of the file; only of a DICOM file without the usual beginning its ending counts.
        reading: window and frame of DICOM files.

    Raises:
        UnreadableImageError: missing, not an image, cut off, under 16 pixels on a side, over 100 megapixels, or of an
            unsupported pixel type.
    """
    try:
        with path.open("rb") as file:
            return _decode(path, file, reading)
    except FileNotFoundError as error:
        raise UnreadableImageError(
            path, MISSING_REASON, f"It was looked for in {path.parent}; check the folder."
        ) from error
    except OSError as error:  # a folder raises this as well: IsADirectoryError, on Windows PermissionError
        if path.is_dir():
            raise UnreadableImageError(path, "is a folder", "Give an image file.") from error
        raise UnreadableImageError(
            path, f"cannot be opened ({error.strerror or error})", "Check its permissions."
        ) from error


def read_image_bytes(
    content: bytes, name: str, *, reading: Reading = AS_STORED, max_pixels: int = MAX_PIXELS
) -> DecodedImage:
    """Decode an image that lies in memory, exactly as `read_image` decodes a file.

    Args:
        content: of the file.
        name: for messages; its ending counts as it does for `read_image`.
        reading: window and frame of DICOM files.
        max_pixels: refused above this, before a pixel is decoded.

    Raises:
        UnreadableImageError: see `read_image`.
    """
    return _decode(Path(name), io.BytesIO(content), reading, max_pixels=max_pixels)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) as the header states it, without decoding and before EXIF orientation.

    Raises:
        UnreadableImageError: the file is missing or has no readable header.
    """
    try:
        with path.open("rb") as file:
            if _is_dicom(path, file):
                return read_dicom_size(path, file)
            image = _open_header(path, file)
            return image.height, image.width
    except OSError as error:
        raise UnreadableImageError(path, f"cannot be opened ({error.strerror or error})", "Check the file.") from error


def scale_short_side(pixels: np.ndarray, size: int) -> np.ndarray:
    """Shrink so that the short side has `size` pixels; the long side follows the aspect ratio, rounded.

    Every source pixel counts (Pillow's bilinear filter widens with the scale), so fine structures do not alias. An
    image that is already small enough stays as it is.

    Args:
        pixels: uint8 (H, W) or (H, W, 3).
        size: 1 or more.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short <= size:
        return pixels
    new_height, new_width = round(height * size / short), round(width * size / short)
    scaled = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


def _decode(path: Path, file: BinaryIO, reading: Reading, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    if _is_dicom(path, file):
        return read_dicom(path, file, reading, max_pixels=max_pixels)
    image = _open_header(path, file)
    check_size(path, image.width, image.height, max_pixels)
    cut = _COLOUR_CUT if _has_wide_colours(image) else ()
    try:
        image.load()
    except _DECODING_ERRORS as error:
        raise UnreadableImageError(path, "is cut off or damaged", "Get the file again, or remove it.") from error
    upright, warnings = _turn_upright(image)
    return _to_eight_bits(path, upright, (*cut, *warnings))


def _has_wide_colours(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow will keep the upper half of 16 bits a colour: so it does with PNG, and refuses such TIFF files."""
    return any(str(tile.args).endswith(";16B") and not image.mode.startswith("I") for tile in image.tile)


def _is_dicom(path: Path, file: BinaryIO) -> bool:
    """By its prefix, which may follow the beginning of a TIFF file; without it, what is no other image may be one."""
    start = file.read(START_BYTES)
    file.seek(0)
    is_other = not start or start.startswith(tuple(magic for magic, _ in _OPENERS))
    return has_prefix(start) or (not is_other and is_dicom(start, path.name))


def _open_header(path: Path, file: BinaryIO) -> ImageFile.ImageFile:
    start = file.read(16)
    file.seek(0)
    if not start:
        raise UnreadableImageError(path, "is empty (0 bytes)", "Get the file again, or remove it.")
    opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), None)
    if opener is None:
        raise UnreadableImageError(
            path, "is not a PNG, JPEG, BMP, TIFF or DICOM image", "Convert it to PNG, or remove it."
        )
    try:
        return opener(file, str(path))
    except _DECODING_ERRORS as error:
        raise UnreadableImageError(path, "has a damaged header", "Get the file again, or remove it.") from error


def _turn_upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    try:
        return ImageOps.exif_transpose(image), ()
    except _DECODING_ERRORS:
        return image, ("The orientation in the file's EXIF data is damaged; the image was read as stored.",)


def _to_eight_bits(path: Path, image: Image.Image, warnings: tuple[str, ...]) -> DecodedImage:
    mode = image.mode
    if mode == "L":
        return DecodedImage(np.array(image), warnings)
    if mode == "1":
        return DecodedImage(np.array(image.convert("L")), warnings)
    if mode == "I" or mode.startswith("I;16"):
        return _compress_range(path, np.asarray(image), warnings)
    if mode in ("LA", "PA", "RGBA") or (mode == "P" and "transparency" in image.info):
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        opaque = Image.alpha_composite(black, image.convert("RGBA"))
        return DecodedImage(drop_equal_channels(np.array(opaque.convert("RGB"))), warnings)
    if mode in ("P", "RGB", "RGBX"):
        return DecodedImage(drop_equal_channels(np.array(image.convert("RGB"))), warnings)
    names = {"F": "floating-point numbers", "CMYK": "CMYK colours"}
    reason = f"holds {names.get(mode, f'pixels of type {mode}')}, which cannot be read"
    raise UnreadableImageError(path, reason, "Convert it to 8-bit PNG first.")


def _compress_range(path: Path, values: np.ndarray, warnings: tuple[str, ...]) -> DecodedImage:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= 2 ** GREY_BITS[-1]:
        reason = f"holds grey values from {lowest} to {highest}, but only 0 to {2 ** GREY_BITS[-1] - 1} can be read"
        raise UnreadableImageError(path, reason, "Convert it to 8-bit PNG first.")
    bits = next(bits for bits in GREY_BITS if highest < 2**bits)
    table = np.rint(np.arange(highest + 1) * (255 / (2**bits - 1))).astype(np.uint8)
    pixels = np.empty(values.shape, np.uint8)
    for row in range(
        0, len(values), _ROWS_AT_ONCE
    ):  # a table of integers for the whole of a large film: 8 bytes a pixel
        pixels[row : row + _ROWS_AT_ONCE] = table[values[row : row + _ROWS_AT_ONCE]]
    note = f"Grey values up to {highest} were read as {bits}-bit and scaled from 0-{2**bits - 1} to 0-255."
    return DecodedImage(pixels, (*warnings, note))
