"""Zip files that somebody else made: their claims are checked first, and each file is held to its own. Light."""

import contextlib
import io
import os
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from medpeft_core.errors import DataError

MAX_ENTRIES = 500_000
MAX_UNPACKED_BYTES = 100 << 30  # all entries together
MAX_RATIO = 100  # unpacked to packed; images hardly shrink, tables and raw DICOM to a tenth or so
RATIO_FREE_BYTES = 256 << 20  # a small zip of black pictures harms nobody
KEPT_FREE_BYTES = 1 << 30  # of the disk
MAX_PART_BYTES, MAX_DEPTH = 240, 24  # of a name between two "/"; folders inside one another
CHUNK_BYTES = 1 << 20
_TABLE_BYTES = 160 << 20  # the table of entries is read in one piece: 300 bytes for each
_ENCRYPTED, _STRONG = 0x1, 0x40
# marks and controls of the direction of writing: they make a name look like another
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, OSError,
)  # fmt: skip


class _BoundedFile(io.FileIO):
    """A file that gives no more at once than the table of an honest zip needs."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if left > _TABLE_BYTES:
            raise DataError(
                f"{Path(str(self.name)).name} claims a table of {left:,} bytes for its entries. Zip it anew."
            )
        return super().read(left) or b""


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, with its table read and nothing more.

    Raises:
        DataError: no zip, damaged or cut short.
    """
    with _BoundedFile(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except _UNREADABLE as error:
            raise DataError(
                f"{path.name} is no zip file, or is damaged or cut short ({error}). Zip the images anew, or get the "
                "file "
                "again."
            ) from error
        with archive:
            yield archive


def list_entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by their names, "/" between folders, when all of its claims are honest.

    Raises:
        DataError: names the first entry that leads outside, is a link, is encrypted, collides with another, or is
            packed in another way than stored or deflated; or the whole is too large.
    """
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise DataError(f"{path.name} has {len(infos):,} entries; at most {MAX_ENTRIES:,} are unpacked. Part it.")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.orig_filename.replace("\\", "/")  # some programs of Windows write these
        fault = _find_fault(info, name)
        if fault:
            raise _refuse(path, name, fault)
        if name.endswith("/"):
            continue
        if name in found:
            raise _refuse(path, name, f"its name collides with {name!r}; rename one of them")
        found[name] = info
    clash = find_clash(found)
    if clash is not None:
        raise _refuse(path, *clash)
    _check_sizes(path, found)
    return found


def check_space(path: Path, folder: Path, num_bytes: int) -> None:
    """Refuse to unpack what the disk cannot hold.

    Raises:
        DataError: says how much is missing.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes + KEPT_FREE_BYTES > free:
        missing = num_bytes + KEPT_FREE_BYTES - free
        raise DataError(
            f"{path.name} needs {num_bytes:,} bytes, {missing:,} more than the disk can spare. Free some space."
        )


def read_entry(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of an entry in pieces, never more than it claims to be.

    Raises:
        DataError: it is longer or shorter than it says, or damaged.
    """
    name, left = info.orig_filename, info.file_size
    try:
        with archive.open(info) as file:
            while chunk := file.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise _refuse(path, name, f"it is longer than the {info.file_size:,} bytes that it claims")
                yield chunk
    except _UNREADABLE as error:
        raise _refuse(path, name, f"it cannot be unpacked ({error})") from error
    if left:
        raise _refuse(path, name, f"it is {left:,} bytes shorter than it claims")


def find_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """The first of distinct names that cannot lie beside the others on every disk, and why; None where all can."""
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            return name, f"its name collides with {folded[key]!r}; rename one of them"
        folded[key] = name
    for key, name in folded.items():
        above = key
        while (above := above.rpartition("/")[0]) and above not in folded:
            pass
        if above:
            return name, f"it lies in {folded[above]!r}, which is a file"
    return None


def is_control(character: str) -> bool:
    """Whether a character is no part of a text but does something to it, or is half of one; odd blanks are fine."""
    return character in _DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs")


def find_name_fault(name: str) -> str | None:
    """Why a name, "/" between folders, may not become a path below a folder; None where it may."""
    if name.startswith("/") or name[1:2] == ":":
        return "its name leads to a place outside"
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        return "its name climbs out of the folder"
    if "" in parts or "." in parts:
        return "its name holds what no file name has"
    if not name.isprintable() and any(map(is_control, name)):
        return "its name holds control characters"
    if len(parts) > MAX_DEPTH or any(len(part.encode(errors="replace")) > MAX_PART_BYTES for part in parts):
        return "its name is too long"
    return None


def _find_fault(info: zipfile.ZipInfo, name: str) -> str | None:
    if (fault := find_name_fault(name)) is not None:
        return fault
    if info.flag_bits & (_ENCRYPTED | _STRONG):
        return "it is protected by a password; zip the files without a password"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link; zip the files themselves" if stat.S_ISLNK(kind) else "it is no plain file"
    if info.compress_type not in _METHODS:
        return f"it is packed by method {info.compress_type}; zip it anew in the usual way"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return f"it claims {info.file_size:,} bytes, stored as they are in {info.compress_size:,}"
    return None


def _check_sizes(path: Path, found: dict[str, zipfile.ZipInfo]) -> None:
    packed, total = (sum(getattr(info, name) for info in found.values()) for name in ("compress_size", "file_size"))
    if packed > path.stat().st_size:
        raise DataError(f"The entries of {path.name} overlap, or it is cut short. Zip the images anew.")
    if total > MAX_UNPACKED_BYTES:
        raise DataError(f"{path.name} holds {total:,} bytes; at most {MAX_UNPACKED_BYTES:,} are unpacked. Part it.")
    if total > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
        raise DataError(
            f"{path.name} claims to grow from {packed:,} to {total:,} bytes, more than {MAX_RATIO} times, as no honest "
            "collection of images does. Zip the images anew."
        )


def _refuse(path: Path, name: str, reason: str) -> DataError:
    shown = name if len(name) <= 80 else name[:80] + "..."
    return DataError(f"{shown!r} in {path.name} is refused: {reason}. Nothing was unpacked.")
