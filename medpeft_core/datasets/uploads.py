"""An image that somebody uploads: checked, decoded and made small, all in memory; nothing is written. Light.

Neither its name nor its ending is believed. The reading rules are those of `images.py`, so an uploaded file gives a
model the same pixels as the same file on disk.
"""

import hashlib
import io
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets.decoded import AS_STORED, Choices, Reading, UnreadableImageError
from medpeft_core.datasets.dicom.guarded import START_BYTES, has_prefix, is_dicom
from medpeft_core.datasets.images import read_image_bytes, scale_short_side

MAX_BYTES = 25 * 1024 * 1024
MAX_DICOM_BYTES = 64 * 1024 * 1024  # not compressed as a rule, often with many frames
MAX_PIXELS = 50_000_000  # the largest films have 20 million; decoding takes up to 20 bytes for each
MAX_SHOWN_SIDE = 1024
MAX_NAME = 80  # characters
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_PNG_WITH_ALPHA = (4, 6)  # colour types
_PNG_COLOUR_TYPE_AT = 25
_TEXT_HEAD = 2048  # bytes
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF image"), (b"BM", "BMP image"), (b"II*\x00", "TIFF image"), (b"MM\x00*", "TIFF image"),
    (b"%PDF", "PDF document"), (b"PK\x03\x04", "ZIP archive"),
)  # fmt: skip
_decoding = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Upload:
    """An uploaded image, checked and encoded anew.

    Attributes:
        name: as people may see it: without folders, cut to `MAX_NAME` characters; still not to be trusted.
        digest: SHA-256 of the file, equal for the same file under two names.
        pixels: PNG of what the model is given before the centre square is taken, short side at most `cache_size`.
        shown: PNG for the page, at most 1024 pixels large.
        source_size: height and width of the decoded file.
        is_colour: whether its three channels differ.
        notes: sentences on what was changed to read it.
        choices: of a DICOM file: which window and frame were used, and which others there are.
    """

    name: str
    digest: str
    pixels: bytes
    shown: bytes
    source_size: tuple[int, int]
    is_colour: bool
    notes: tuple[str, ...]
    choices: Choices | None = None


def read_upload(content: bytes, name: str, *, cache_size: int, reading: Reading = AS_STORED) -> Upload:
    """Check, decode and encode an upload; one at a time in this process, because a large film takes a gigabyte.

    Args:
        content: the whole file.
        name: what the browser calls it.
        cache_size: short side of the images that the model was trained on, `data.cache_size`.
        reading: window and frame of a DICOM file.

    Raises:
        UnreadableImageError: neither PNG nor JPEG nor DICOM, empty, over 25 MB (DICOM: 64 MB) or 50 megapixels, under
            16 pixels on a side, cut off, or of an unsupported pixel type.
    """
    shown_name = clean_name(name)
    _check_kind(content, shown_name)
    with _decoding:
        decoded = read_image_bytes(content, shown_name, reading=reading, max_pixels=MAX_PIXELS)
        picture = Image.fromarray(decoded.pixels)
        picture.thumbnail((MAX_SHOWN_SIDE, MAX_SHOWN_SIDE), Image.Resampling.BILINEAR)
        small = scale_short_side(decoded.pixels, cache_size)
    return Upload(
        name=shown_name,
        digest=hashlib.sha256(content).hexdigest(),
        pixels=encode_png(small),
        shown=encode_png(np.asarray(picture)),
        source_size=(decoded.pixels.shape[0], decoded.pixels.shape[1]),
        is_colour=decoded.pixels.ndim == 3,
        notes=(*decoded.warnings, *_describe_changes(content)),
        choices=decoded.choices,
    )


def clean_name(name: str) -> str:
    """A name without folders and control characters, of bearable length; it may still hold HTML or Markdown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable()).strip() or "image"
    if len(printable) <= MAX_NAME:
        return printable
    return f"{printable[: MAX_NAME - 12]}…{printable[-11:]}"


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W) or (H, W, 3) as PNG; quick rather than small."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _check_kind(content: bytes, name: str) -> None:
    path = Path(name)
    if not content:
        raise UnreadableImageError(path, "is empty (0 bytes)", "Get the file again.")
    start = content[:START_BYTES]
    is_known = content.startswith((PNG, JPEG))
    is_scan = has_prefix(start) or (not is_known and is_dicom(start, name) and not _is_text(content))
    most = MAX_DICOM_BYTES if is_scan else MAX_BYTES
    if len(content) > most:
        reason = f"has {len(content) / 1024**2:.0f} MB, but at most {most // 1024**2} MB are read"
        remedy = "Choose a file with fewer frames." if is_scan else "Scale it down."
        raise UnreadableImageError(path, reason, remedy)
    if is_known or is_scan:
        return
    kind = next((title for magic, title in _OTHERS if content.startswith(magic)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "WebP image"
    if b"<svg" in content[:_TEXT_HEAD]:
        kind = "SVG drawing"
    if kind is None and _is_text(content):
        remedy = "Its name does not matter, its content does. Choose a PNG, JPEG or DICOM file."
        raise UnreadableImageError(path, "is a text file, no image at all", remedy)
    reason = "is neither a PNG nor a JPEG image nor a DICOM file" + (
        f" but {'an' if kind[0] == 'S' else 'a'} {kind}" if kind else ""
    )
    raise UnreadableImageError(path, reason, "Its name does not matter, its content does. Convert it to PNG.")


def _is_text(content: bytes) -> bool:
    """Whether a file begins like a text: letters of UTF-8, without the control characters that pictures are full of."""
    head = content[:_TEXT_HEAD].decode("utf-8", errors="ignore")  # it may be cut within a letter
    is_whole = len(head.encode()) > len(content[:_TEXT_HEAD]) - 4
    return is_whole and all(character.isprintable() or character in "\t\r\n\f" for character in head)


def _describe_changes(content: bytes) -> list[str]:
    """What the reader of a PNG leaves out without a word."""
    if not content.startswith(PNG):
        return []
    header = content[: max(content.find(b"IDAT"), 0)]
    changes = []
    if content[_PNG_COLOUR_TYPE_AT : _PNG_COLOUR_TYPE_AT + 1] and content[_PNG_COLOUR_TYPE_AT] in _PNG_WITH_ALPHA:
        changes.append("Transparent parts were laid over black.")
    if b"acTL" in header:
        changes.append("The file is an animation; its first picture was used.")
    return changes
