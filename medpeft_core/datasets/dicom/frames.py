"""One frame of a DICOM file as the numbers that were stored, from every transfer syntax that has a decoder here."""

from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from medpeft_core.datasets.decoded import UnreadableImageError
from medpeft_core.datasets.dicom.codestreams import CodestreamClaim, read_claim
from medpeft_core.datasets.dicom.guarded import AGAIN, CUT_OFF, GuardedFile
from medpeft_core.datasets.dicom.header import Header, list_errors
from medpeft_core.datasets.dicom.layout import Layout
from medpeft_core.datasets.dicom.rle import decode_rle

RLE = "1.2.840.10008.1.2.5"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
OPENJPEG = "openjpeg"  # called without pydicom, which would want one more package in between
# One decoder for each, so that a file one of them refuses is not tried on all others.
DECODERS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    JPEG_EXTENDED: "pillow",
    "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": OPENJPEG,
    "1.2.840.10008.1.2.4.91": OPENJPEG,
    "1.2.840.10008.1.2.4.201": OPENJPEG,
    "1.2.840.10008.1.2.4.202": OPENJPEG,
    "1.2.840.10008.1.2.4.203": OPENJPEG,
}
NATIVE = (IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
_PIXEL_DATA, _FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
_CONVERT = "Convert it to PNG with a DICOM viewer first."


def read_frame(path: Path, file: BinaryIO, header: Header, layout: Layout, frame: int) -> tuple[np.ndarray, str]:
    """The stored values of one frame, counted from 0.

    Returns:
        (H, W) or (H, W, 3) of whole numbers, sign and unused bits put right, and the colour model that they are in: a
        decoder may have brought YBR_ICT and YBR_RCT to RGB.

    Raises:
        UnreadableImageError: no pixels, cut off, damaged, or of a transfer syntax that no decoder here reads.
    """
    guarded = GuardedFile(file)
    length, vr = _find_pixels(path, guarded, header)
    syntax = header.syntax or (IMPLICIT if header.dataset.original_encoding[0] else EXPLICIT)
    _check_syntax(path, syntax, is_encapsulated=length == _UNDEFINED)
    try:
        if length != _UNDEFINED:
            return _read_native(path, guarded, layout, frame, length, syntax=syntax, vr=vr)
        content = _find_content(path, guarded, header, layout, frame)
        if syntax == RLE:
            values = decode_rle(
                content, rows=layout.rows, columns=layout.columns, samples=layout.samples,
                num_bytes=layout.allocated // 8,
            )  # fmt: skip
            return _put_bits_right(values, layout), layout.photometric
        claim = _check_claim(path, read_claim(content), layout, syntax)
        if DECODERS[syntax] == OPENJPEG:
            return _decode_jpeg_2000(content, layout, claim)
        return _decode(content, layout, syntax)
    except list_errors() as error:
        if guarded.was_cut:
            raise UnreadableImageError(path, CUT_OFF, AGAIN) from error
        reason = f"holds damaged pixels (transfer syntax {_name_syntax(syntax)})"
        raise UnreadableImageError(path, reason, AGAIN) from error


def _find_pixels(path: Path, guarded: GuardedFile, header: Header) -> tuple[int, str]:
    """Go to the first byte of the pixels; their length in bytes and their VR."""
    guarded.seek(header.pixels_at)
    start = guarded.read(8)
    if len(start) < 8:
        words = (CUT_OFF, AGAIN) if header.was_cut else ("is a DICOM file that holds no pixels", "Leave it out.")
        raise UnreadableImageError(path, *words)
    order: Literal["big", "little"] = "big" if header.is_big_endian else "little"
    tag = int.from_bytes(start[:2], order) << 16 | int.from_bytes(start[2:4], order)
    if tag in _FLOAT_PIXELS:
        raise UnreadableImageError(path, "holds floating-point numbers, which cannot be read", _CONVERT)
    if header.dataset.original_encoding[0]:
        return int.from_bytes(start[4:8], order), "OW"
    return int.from_bytes(guarded.read(4), order), start[4:6].decode("ascii", "replace")


def _check_syntax(path: Path, syntax: str, *, is_encapsulated: bool) -> None:
    if syntax in NATIVE or (is_encapsulated and (syntax == RLE or syntax in DECODERS)):
        return
    if syntax == RLE or syntax in DECODERS:
        raise UnreadableImageError(path, f"says {_name_syntax(syntax)}, but its pixels are not wrapped that way", AGAIN)
    reason = f"has the transfer syntax {_name_syntax(syntax)}, which no decoder of the lab reads"
    raise UnreadableImageError(path, reason, _CONVERT)


def _read_native(
    path: Path, guarded: GuardedFile, layout: Layout, frame: int, length: int, *, syntax: str, vr: str
) -> tuple[np.ndarray, str]:
    needed, start = layout.frame_bytes, guarded.tell()
    there = min(length, guarded.size - start)
    if there < needed * (frame + 1):
        whose = "its pixels" if layout.num_frames == 1 else f"its first {frame + 1} frames"
        reason = f"{CUT_OFF}: {whose} should fill {needed * (frame + 1)} bytes, but {there} are there"
        raise UnreadableImageError(path, reason, AGAIN)
    values, model = _run_decoder(
        guarded, layout, syntax, index=frame, num_frames=layout.num_frames, correct_unused_bits=False, pixel_vr=vr
    )
    return _put_bits_right(values, layout), model


def _find_content(path: Path, guarded: GuardedFile, header: Header, layout: Layout, frame: int) -> bytes:
    """The compressed bytes of one frame, all fragments together."""
    from pydicom.encaps import get_frame

    start = guarded.tell()
    guarded.seek(start + 4)
    if int.from_bytes(guarded.read(4), "little") > 4 * layout.num_frames:
        raise ValueError("a table of offsets for more frames than there are")
    guarded.seek(start)
    tables = (header.content("ExtendedOffsetTable"), header.content("ExtendedOffsetTableLengths"))
    content = get_frame(
        guarded, frame, number_of_frames=layout.num_frames, extended_offsets=tables if all(tables) else None
    )
    if guarded.was_cut:
        raise UnreadableImageError(path, CUT_OFF, AGAIN)
    return content


def _decode(content: bytes, layout: Layout, syntax: str) -> tuple[np.ndarray, str]:
    from pydicom.encaps import encapsulate

    if DECODERS.get(syntax) == "gdcm":
        _silence_gdcm()
    wrapped = encapsulate([content], has_bot=False)
    return _run_decoder(wrapped, layout, syntax, index=0, num_frames=1)


def _decode_jpeg_2000(content: bytes, layout: Layout, claim: CodestreamClaim) -> tuple[np.ndarray, str]:
    """Signed or not by the tags: where the codestream says otherwise, its bits are read anew."""
    import openjpeg

    values = openjpeg.decode(content)
    unused = 8 * values.dtype.itemsize - claim.bits
    typed = values.view(values.dtype.str.replace("u", "i") if layout.is_signed else values.dtype.str.replace("i", "u"))
    if typed.dtype != values.dtype:
        typed = np.right_shift(np.left_shift(typed, unused), unused)
    is_rgb = layout.photometric in ("YBR_ICT", "YBR_RCT")
    return typed, "RGB" if is_rgb else layout.photometric


def _run_decoder(
    source: Any, layout: Layout, syntax: str, *, index: int, num_frames: int, **more: Any
) -> tuple[np.ndarray, str]:
    from pydicom.pixels import get_decoder

    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "planar_configuration": layout.planar,
        "number_of_frames": num_frames,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.is_signed),
        "pixel_keyword": "PixelData",
        **more,
    }
    plugin = DECODERS.get(syntax, "")
    values, properties = get_decoder(syntax).as_array(source, index=index, raw=True, decoding_plugin=plugin, **options)
    return values, str(properties["photometric_interpretation"])


def _put_bits_right(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Move the stored bits to the bottom and extend their sign; other bits may hold anything (PS3.5 8.1.1)."""
    if layout.allocated == 1:
        return values
    size = layout.allocated // 8
    typed = values.astype(f"={'i' if layout.is_signed else 'u'}{size}", copy=False)
    if layout.stored == layout.allocated:
        return typed
    typed = np.left_shift(typed, layout.allocated - 1 - layout.high)
    return np.right_shift(typed, layout.allocated - layout.stored, out=typed)


def _check_claim(path: Path, claim: CodestreamClaim | None, layout: Layout, syntax: str) -> CodestreamClaim:
    """The claim; refuses compressed pixels that would decode to something else than the tags say."""
    if claim is None:
        raise ValueError("no codestream")
    if (claim.rows, claim.columns, claim.samples) != (layout.rows, layout.columns, layout.samples):
        reason = (
            f"contradicts itself: its tags state {layout.columns} x {layout.rows} pixels of {layout.samples} values, "
            f"its compressed pixels {claim.columns} x {claim.rows} of {claim.samples}"
        )
        raise UnreadableImageError(path, reason, AGAIN)
    if syntax == JPEG_EXTENDED and claim.bits > 8:
        reason = f"has the transfer syntax {_name_syntax(syntax)} with {claim.bits} bits, which no decoder here reads"
        raise UnreadableImageError(path, reason, _CONVERT)
    return claim


def _name_syntax(syntax: str) -> str:
    from pydicom.uid import UID

    name = UID(syntax).name
    return name if name == syntax else f"{name} ({syntax})"


def _silence_gdcm() -> None:
    import gdcm

    for switch in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        switch()
