"""What compressed pixels say of their own size, read from their first bytes: JPEG, JPEG-LS and JPEG 2000."""

from dataclasses import dataclass

_JPEG_START, _J2K_START, _SIZE_MARKER = b"\xff\xd8", b"\xff\x4f", b"\xff\x51"
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables among the markers of JPEG frames
_JPEG_LS_FRAME = 0xF7


@dataclass(frozen=True, kw_only=True)
class CodestreamClaim:
    """Height and width in pixels, values a pixel, bits of a value."""

    rows: int
    columns: int
    samples: int
    bits: int


def read_claim(content: bytes) -> CodestreamClaim | None:
    """None where it is neither of the three, or ends before it says."""
    if content.startswith(_JPEG_START):
        return _read_jpeg(content)
    start = content.find(_J2K_START + _SIZE_MARKER, 0, 4096)  # a JP2 file around it is against the rules, yet common
    return _read_jpeg_2000(content[start:]) if start >= 0 else None


def _read_jpeg(content: bytes) -> CodestreamClaim | None:
    place = 2
    while place + 10 <= len(content):
        if content[place] != 0xFF:
            return None
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        is_frame = 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES
        if is_frame or marker == _JPEG_LS_FRAME:
            return CodestreamClaim(
                bits=content[place + 4],
                rows=int.from_bytes(content[place + 5 : place + 7], "big"),
                columns=int.from_bytes(content[place + 7 : place + 9], "big"),
                samples=content[place + 9],
            )
        place += 2 + max(int.from_bytes(content[place + 2 : place + 4], "big"), 2)
    return None


def _read_jpeg_2000(content: bytes) -> CodestreamClaim | None:
    if len(content) < 43:
        return None
    right, bottom, left, top = (int.from_bytes(content[at : at + 4], "big") for at in (8, 12, 16, 20))
    return CodestreamClaim(
        rows=bottom - top,
        columns=right - left,
        samples=int.from_bytes(content[40:42], "big"),
        bits=(content[42] & 0x7F) + 1,
    )
