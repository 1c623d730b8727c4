"""What reading an image gives, or why it gives nothing: shared by all kinds of files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medpeft_core.errors import DataError

MIN_SIDE = 16
MAX_PIXELS = 100_000_000
MISSING_REASON = "does not exist"


class UnreadableImageError(DataError):
    """One image file cannot be used.

    Attributes:
        reason: what is wrong, as the end of a sentence that begins with the file's name: "is cut off or damaged".
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path.name} {reason}. {remedy}")
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How DICOM files are read where they leave a choice; other files leave none. See `DataConfig`.

    Attributes:
        window: "auto", "percentiles", "full", or the number of one of the file's windows.
        frame: "first", "middle", "last", or the number of a frame from 1.
    """

    window: str = "auto"
    frame: str = "first"


AS_STORED = Reading()


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a DICOM file left to choose, and what was taken.

    Attributes:
        window: the number of the window or table that was used, "percentiles", "full", "stored" where grey
            values were taken as they are, or "" for colour.
        windows: what the file offers, number 1 first, each as a phrase: "LUNG (centre -600, width 1600)".
        frame: number from 1.
        num_frames: in the file.
    """

    window: str
    windows: tuple[str, ...]
    frame: int
    num_frames: int


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of one image file.

    Attributes:
        pixels: uint8, (H, W) for grey and (H, W, 3) for colour, EXIF orientation applied.
        warnings: sentences on what was changed to get there.
        choices: of a DICOM file.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()
    choices: Choices | None = None


def drop_equal_channels(pixels: np.ndarray) -> np.ndarray:
    """(H, W) where the three channels of (H, W, 3) are equal, else as it is."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    is_grey = np.array_equal(red, green) and np.array_equal(red, blue)
    return np.ascontiguousarray(red) if is_grey else pixels


def check_size(path: Path, width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image by what its header claims, before a pixel is decoded.

    Raises:
        UnreadableImageError: under 16 pixels on a side, or more than `max_pixels`.
    """
    if min(width, height) < MIN_SIDE:
        reason = f"is {width} x {height} pixels, but an image needs at least {MIN_SIDE} on each side"
        raise UnreadableImageError(path, reason, "Remove it, or replace it by a larger one.")
    if width * height > max_pixels:
        reason = f"is {width} x {height} pixels, but at most {max_pixels // 1_000_000} megapixels are read"
        raise UnreadableImageError(path, reason, "Scale it down first.")
