"""The bytes of a DICOM file, guarded: no reading past the end, no endless list of parts, no bomb in a deflated one."""

import io
import zlib
from pathlib import Path
from typing import BinaryIO

from medpeft_core.datasets.decoded import UnreadableImageError

MAX_READS = 400_000  # a part of a header takes one to three; large multi-frame headers have 100,000
MAX_INFLATED_BYTES = 256 * 1024**2
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT = "1.2.840.10008.1.2.1"
START_BYTES = 132
CUT_OFF, AGAIN = "is cut off", "Get the file again, or remove it."
_PREFIX_AT, _PREFIX = 128, b"DICM"
_LONG_LENGTHS = (b"OB", b"OW", b"UN", b"UT", b"SQ")  # VRs of group 0002 whose length has 4 bytes
_MAX_META_BYTES = 64 * 1024
_CHUNK_BYTES = 1024**2
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_MAX_FIRST_BYTES = 1024


class GuardedFile:
    """A binary file for pydicom that never asks for more than there is, and counts.

    Attributes:
        size: bytes.
        was_cut: whether something was to be read that is not there any more.
        has_many_parts: whether it would have taken minutes to walk through all of it.
    """

    def __init__(self, file: BinaryIO, max_reads: int = MAX_READS) -> None:
        self._file = file
        self._reads_left = max_reads
        self.was_cut = False
        self.has_many_parts = False
        file.seek(0, io.SEEK_END)
        self.size = file.tell()
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        self._reads_left -= 1
        if self._reads_left < 0:
            self.has_many_parts = True  # pydicom makes an error of its own out of any
            raise OSError("too many parts")
        left = max(self.size - self._file.tell(), 0)
        if 0 < left < size:
            self.was_cut = True
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere; beyond the end is noted."""
        place = self._file.seek(offset, whence)
        if place > self.size:
            self.was_cut = True
        return place

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()


def has_prefix(start: bytes) -> bool:
    """Whether a file of these first `START_BYTES` says that it is a DICOM file."""
    return start[_PREFIX_AT : _PREFIX_AT + 4] == _PREFIX


def is_dicom(start: bytes, name: str) -> bool:
    """Whether a file is to be read as DICOM, by its first `START_BYTES` and its name.

    Old files lack the preamble and begin with their first element: group 0002 or 0008, a small length.
    """
    if has_prefix(start) or name.lower().endswith((".dcm", ".dicom")):
        return True
    if len(start) < 16 or start[:2] not in _FIRST_GROUPS:
        return False
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    length = start[6:8] if is_explicit else start[4:8]
    return int.from_bytes(length, "little") <= _MAX_FIRST_BYTES and start[3] == 0


def inflate_if_deflated(path: Path, file: BinaryIO) -> BinaryIO:
    """The file itself, or in memory the same file with its data set inflated, where the transfer syntax is Deflated.

    Raises:
        UnreadableImageError: it would fill more than `MAX_INFLATED_BYTES`, or is cut off or damaged.
    """
    file.seek(0)
    head = file.read(_MAX_META_BYTES)
    file.seek(0)
    found = _find_syntax(head)
    if found is None or found[0] != DEFLATED:
        return file
    _, value_at, value_bytes, end = found
    file.seek(end)
    inflated = _inflate(path, file)
    syntax = EXPLICIT.encode().ljust(value_bytes, b"\0")
    return io.BytesIO(head[:value_at] + syntax + head[value_at + value_bytes : end] + inflated)


def _inflate(path: Path, file: BinaryIO) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size = 0
    try:
        while not inflater.eof:
            chunk = inflater.unconsumed_tail or file.read(_CHUNK_BYTES)
            parts.append(inflater.decompress(chunk, _CHUNK_BYTES))
            if not chunk and not parts[-1] and not inflater.eof:
                raise UnreadableImageError(path, CUT_OFF, AGAIN)
            size += len(parts[-1])
            if size > MAX_INFLATED_BYTES:
                reason = f"is a deflated DICOM file that unpacks to more than {MAX_INFLATED_BYTES // 1024**2} MB"
                raise UnreadableImageError(path, reason, "Convert it to another transfer syntax first.")
    except zlib.error as error:
        raise UnreadableImageError(path, "is a deflated DICOM file that is damaged", AGAIN) from error
    return b"".join(parts)


def _find_syntax(head: bytes) -> tuple[str, int, int, int] | None:
    """Transfer syntax, where its value begins, how many bytes it has, and where group 0002 ends."""
    place = _PREFIX_AT + 4 if head[_PREFIX_AT : _PREFIX_AT + 4] == _PREFIX else 0
    found: tuple[str, int, int] | None = None
    while head[place : place + 2] == b"\x02\x00":
        if head[place + 4 : place + 6] in _LONG_LENGTHS:
            value_at, length = place + 12, int.from_bytes(head[place + 8 : place + 12], "little")
        else:
            value_at, length = place + 8, int.from_bytes(head[place + 6 : place + 8], "little")
        if head[place + 2 : place + 4] == b"\x10\x00":
            text = head[value_at : value_at + length].decode("ascii", errors="replace").rstrip("\0 ")
            found = (text, value_at, length)
        place = value_at + length
    return (*found, place) if found else None
