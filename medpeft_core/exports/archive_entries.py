"""The entries of an archive that somebody else made, looked at before a byte of them is unpacked. Light.

A zip is a table of claims. Here the claims are checked against each other, the file's size and what an archive of a run
may hold; `read_entry` then holds each file to its claim while it is unpacked.
"""

import contextlib
import io
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from medpeft_core.errors import ExportError
from medpeft_core.exports.archive_files import (
    CHUNK_BYTES,
    MANIFEST_FILE,
    MAX_ARCHIVE_BYTES,
    REQUIRED_FILES,
    RUN_PREFIX,
    find_limit,
    is_known,
)

MAX_READ_BYTES = 2 << 20  # at once; the table of entries is read in one piece, so that it cannot be larger
MAX_RATIO = 200  # JSON and logs of real runs are deflated to a tenth or so
RATIO_FREE_BYTES = 1 << 20  # a small file of blanks harms nobody
_ENCRYPTED, _PATCHED, _STRONG = 0x1, 0x20, 0x40
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_SHOWN = 80
# what a damaged zip makes zipfile raise; OSError where a claimed place lies before the beginning
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, OSError,
)  # fmt: skip
_REMEDY = "Get the archive again from where it was exported."


class _BoundedFile(io.FileIO):
    """A file that gives no more at once than any honest archive needs."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if left > MAX_READ_BYTES:
            raise ExportError(
                f"{Path(self.name).name} claims a table of {left:,} bytes for its entries; at most {MAX_READ_BYTES:,} "
                f"are read. This is no archive of a run."
            )
        return super().read(left) or b""


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, with its table read and nothing more.

    Raises:
        ExportError: no such file, no zip, or cut short.
    """
    if not path.is_file():
        raise ExportError(f"There is no archive {path}. Give the .zip file that `export --as archive` wrote.")
    with _BoundedFile(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise ExportError(f"{path.name} is no zip file, or is damaged or cut short: {error}. {_REMEDY}") from error
        with archive:
            yield archive


def check_entries(archive: zipfile.ZipFile, num_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Every entry by its name, when all of them are what an archive of a run may hold.

    Args:
        archive: an open one.
        num_bytes: size of the file itself.

    Raises:
        ExportError: names the first offending entry.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    for info in archive.infolist():
        name = info.orig_filename  # `filename` has lost what stands behind a zero byte, and the backslashes on Windows
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            raise _refuse(name, "its name is there twice, as some disks see it")
        folded.add(key)
        if (reason := _find_fault(info)) is not None:
            raise _refuse(name, reason)
        found[name] = info
    _check_sum(found, num_bytes)
    for name in (MANIFEST_FILE, *(RUN_PREFIX + item for item in REQUIRED_FILES)):
        if name not in found:
            raise ExportError(f"The archive lacks {name}, so it is none of a run. {_REMEDY}")
    return found


def read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of an entry in pieces, never more than it claims to be.

    Raises:
        ExportError: it is longer or shorter than it says, or damaged.
    """
    name, left = info.orig_filename, info.file_size
    try:
        with archive.open(info) as file:
            while chunk := file.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise _refuse(name, f"it is longer than the {info.file_size:,} bytes that it claims")
                yield chunk
    except UNREADABLE as error:
        raise _refuse(name, f"it cannot be unpacked ({error})") from error
    if left:
        raise _refuse(name, f"it is {left:,} bytes shorter than it claims")


def _find_fault(info: zipfile.ZipInfo) -> str | None:
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & (_ENCRYPTED | _STRONG):
        return "it is encrypted, and archives of runs never are"
    if (fault := _find_name_fault(name)) is not None:
        return fault
    if kind not in (0, stat.S_IFREG):
        return "it is a link" if stat.S_ISLNK(kind) else "it is no plain file"
    if info.compress_type not in _METHODS or info.flag_bits & _PATCHED:
        return f"it is packed in a way that the lab does not write (method {info.compress_type})"
    if info.file_size > find_limit(name):
        return f"it claims {info.file_size:,} bytes, but at most {find_limit(name):,} are allowed for such a file"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return f"it claims {info.file_size:,} bytes and to be stored as it is, in {info.compress_size:,}"
    if info.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size):
        return f"it claims to grow from {info.compress_size:,} to {info.file_size:,} bytes, as no honest file does"
    return None


def _find_name_fault(name: str) -> str | None:
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "its name leads to a place outside"
    if ".." in name.replace("\\", "/").split("/"):
        return "its name climbs out of the folder"
    if "\\" in name or "\0" in name:
        return "its name holds a character that no file of a run has"
    return None if is_known(name) else "no run has such a file"


def _check_sum(found: dict[str, zipfile.ZipInfo], num_bytes: int) -> None:
    packed = sum(info.compress_size for info in found.values())
    if packed > num_bytes:
        raise ExportError(
            f"The entries claim {packed:,} packed bytes in a file of {num_bytes:,}: they overlap, or the file is cut "
            f"short. {_REMEDY}"
        )
    total = sum(info.file_size for info in found.values())
    if total > MAX_ARCHIVE_BYTES:
        raise ExportError(
            f"The entries claim {total:,} bytes together; at most {MAX_ARCHIVE_BYTES:,} are unpacked. {_REMEDY}"
        )


def _refuse(name: str, reason: str) -> ExportError:
    shown = name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "..."
    return ExportError(f"The entry {shown!r} of the archive is refused: {reason}. Nothing was imported.")
