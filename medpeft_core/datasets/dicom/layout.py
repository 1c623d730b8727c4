"""What the tags of a DICOM file claim about its pixels, checked before one is decoded."""

from dataclasses import dataclass
from pathlib import Path

from medpeft_core.datasets.decoded import UnreadableImageError, check_size
from medpeft_core.datasets.dicom.guarded import AGAIN, CUT_OFF
from medpeft_core.datasets.dicom.header import Header

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
MAX_SQUEEZE = 4.0  # pixels longer than that are a mistake in the tags
SQUARE_WITHIN = 0.01
_CONVERT = "Convert it to PNG with a DICOM viewer first."
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the pixels lie in the file.

    Attributes:
        samples: 1 or 3 values a pixel.
        stored: bits of a value, the lowest of `allocated` ones unless `high` says otherwise.
        high: number of the highest stored bit.
        planar: 0 for RGBRGB, 1 for RRGGBB.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    high: int
    is_signed: bool
    num_frames: int

    @property
    def frame_bytes(self) -> int:
        """Of one frame that is not compressed."""
        values = self.rows * self.columns * self.samples
        if self.photometric == "YBR_FULL_422":  # two pixels share their colour
            values = values // 3 * 2
        return (values + 7) // 8 if self.allocated == 1 else values * (self.allocated // 8)


def read_layout(path: Path, header: Header, max_pixels: int) -> Layout:
    """The layout out of the tags.

    Raises:
        UnreadableImageError: no pixels, or a layout that no reader can make sense of.
    """
    rows, columns = header.count("Rows"), header.count("Columns")
    if rows <= 0 or columns <= 0:
        raise UnreadableImageError(path, *_tell_missing_pixels(header))
    check_size(path, columns, rows, max_pixels)
    allocated = header.count("BitsAllocated")
    stored = header.count("BitsStored") or allocated
    high = header.number("HighBit")
    photometric = header.text("PhotometricInterpretation").upper().replace("_", " ").strip()
    photometric = photometric if photometric == PALETTE else photometric.replace(" ", "_")
    samples = header.count("SamplesPerPixel") or (3 if photometric in COLOURS else 1)
    if allocated not in (1, 8, 16, 32) or not 1 <= stored <= allocated:
        reason = f"states {stored} bits in {allocated} for a pixel value, which no DICOM file may have"
        raise UnreadableImageError(path, reason, AGAIN)
    if photometric not in (*GREY, PALETTE, *COLOURS):
        reason = f"has the colour model {photometric or 'unknown'!r}, which cannot be read"
        raise UnreadableImageError(path, reason, _CONVERT)
    if samples != (3 if photometric in COLOURS else 1):
        reason = f"states {samples} values a pixel, which does not fit its colour model {photometric}"
        raise UnreadableImageError(path, reason, _CONVERT)
    highest = stored - 1 if high is None or not stored - 1 <= high < allocated else int(high)
    frames = header.count("NumberOfFrames") or 1
    if not 0 < frames <= _MAX_FRAMES:
        raise UnreadableImageError(path, f"states {frames} frames, which cannot be", AGAIN)
    return Layout(
        rows=rows, columns=columns, samples=samples, photometric=photometric,
        planar=1 if header.count("PlanarConfiguration") == 1 else 0, allocated=allocated, stored=stored, high=highest,
        is_signed=header.count("PixelRepresentation") == 1, num_frames=frames,
    )  # fmt: skip


def choose_frame(path: Path, frame: str, num_frames: int) -> int:
    """The frame that a reading asks for, counted from 0.

    Raises:
        UnreadableImageError: there are fewer.
    """
    named = {"first": 0, "middle": (num_frames - 1) // 2, "last": num_frames - 1}
    number = named[frame] if frame in named else int(frame) - 1
    if number >= num_frames:
        has = "one frame" if num_frames == 1 else f"{num_frames} frames"
        reason = f"has {has}, but frame {number + 1} was asked for"
        remedy = "Ask for the first." if num_frames == 1 else f"Choose one from 1 to {num_frames}."
        raise UnreadableImageError(path, reason, remedy)
    return number


def square_size(header: Header, layout: Layout, frame: int) -> tuple[int, int]:
    """(height, width) at which a pixel is as high as wide: the side with the longer pixels grows."""
    place = header.of_frame("PixelMeasuresSequence", frame)
    options = (place.numbers("PixelSpacing"), header.numbers("ImagerPixelSpacing"), header.numbers("PixelAspectRatio"))
    found = next((pair for pair in options if len(pair) == 2 and 0 < min(pair) <= max(pair) < 1e6), (1.0, 1.0))
    ratio = found[0] / found[1]  # height of a pixel in widths
    if abs(ratio - 1) <= SQUARE_WITHIN or not 1 / MAX_SQUEEZE <= ratio <= MAX_SQUEEZE:
        return layout.rows, layout.columns
    if ratio > 1:
        return round(layout.rows * ratio), layout.columns
    return layout.rows, round(layout.columns / ratio)


def _tell_missing_pixels(header: Header) -> tuple[str, str]:
    if header.was_cut:
        return CUT_OFF, AGAIN
    kind = header.text("Modality")
    words = "is a treatment plan" if kind == "RTPLAN" else "is a DICOM file"
    modality = f" (modality {kind})" if kind and kind != "RTPLAN" else ""
    return f"{words}{modality} without an image: it holds no pixels", "Leave it out."
