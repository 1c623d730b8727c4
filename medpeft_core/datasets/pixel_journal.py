"""The journal of a pixel cache that is being made: what is decoded so far, so that a later builder goes on from there.

An unfinished cache is a hidden folder beside the finished ones with `growing.u8` (the images one after the other, each
with its own number of channels) and `journal.jsonl` (a line on what is made, then one for each image, in order). Pixels
are on the disk before the journal tells of them, so what it tells is true after a kill or a power cut too. Nobody
trusts that: whoever goes on compares every image with its digest, and every file with its size and time of change.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np

from medpeft_core.datasets.pixel_cache import FORMAT_VERSION, PIXELS_FILE, FileState, digest_pixels, find_state
from medpeft_core.datasets.pixel_decoding import Loaded

JOURNAL_VERSION = 1
GROWING_FILE, JOURNAL_FILE = "growing.u8", "journal.jsonl"
SYNC_EVERY_S = 1.0  # at most this much decoding is lost with a killed process
STALE_S = 7 * 24 * 3600.0  # an unfinished cache that nobody went on with for so long is removed
_TYPES = {
    "row": int, "channels": int, "height": int, "width": int, "source_height": int, "source_width": int,
    "warning": str, "error": str, "digest": str, "file_bytes": int, "changed_ns": int,
}  # fmt: skip

Row = dict[str, Any]


class PixelJournal:
    """An unfinished cache that is open for more images; use it as a context, and under the cache's lock.

    Attributes:
        rows: what is known of each image so far, in order: `channels`, `height`, `width` (0 where unreadable),
            `source_height`, `source_width`, `warning`, `error`, `digest`, and `file_bytes` and `changed_ns`, the state
            of the file when it was decoded.
        num_bytes: of their pixels.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """Make the folder, or open it with the images that its journal tells of; `check` must follow.

        Args:
            folder: of the unfinished cache.
            about: what is made; a journal about something else counts for nothing.

        Raises:
            OSError: it cannot be written.
        """
        self._about = {"journal_version": JOURNAL_VERSION, "format_version": FORMAT_VERSION, **about}
        self.rows, self._ends = _read_journal(folder / JOURNAL_FILE, self._about)
        folder.mkdir(exist_ok=True)
        for torn in folder.glob(".*.tmp"):  # half-written table or header of a killed builder
            torn.unlink()
        finished = folder / PIXELS_FILE
        if finished.exists() and not (folder / GROWING_FILE).exists():  # killed between renaming and the header
            finished.rename(folder / GROWING_FILE)
        self._pixels = _open(folder / GROWING_FILE)
        self._journal = _open(folder / JOURNAL_FILE)
        self._pending: list[Row] = []
        self._synced_at = time.monotonic()

    def __enter__(self) -> "PixelJournal":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what cannot be noted is decoded again
            self.sync()
        self._pixels.close()
        self._journal.close()

    @property
    def num_bytes(self) -> int:
        return sum(_count_bytes(row) for row in self.rows)

    def check(self, is_current: Callable[[int, Row], bool], tell: Callable[[int, int], None]) -> None:
        """Keep the images up to the first that is not as the journal says, and cut off what follows.

        Args:
            is_current: called with the position and the row of an image: whether its file would give the same again.
            tell: called with how many are checked, and of how many; may raise to stop.

        Raises:
            OSError: the disk cannot be written.
        """
        num_good = start = 0
        self._pixels.seek(0)
        for row in self.rows:
            tell(num_good, len(self.rows))
            size = _count_bytes(row)
            if not _is_intact(self._pixels.read(size), row) or not is_current(num_good, row):
                break
            num_good, start = num_good + 1, start + size
        self.rows = self.rows[:num_good]
        if num_good:
            self._journal.truncate(self._ends[num_good - 1])
            self._journal.seek(0, os.SEEK_END)
        else:
            self._journal.truncate(0)
            self._journal.seek(0)
            _write_all(self._journal, json.dumps(self._about).encode() + b"\n")
        os.fsync(self._journal.fileno())
        self._pixels.truncate(start)
        self._pixels.seek(start)

    def append(self, loaded: Loaded) -> None:
        """Add the next image, and now and then tell the disk.

        Raises:
            OSError: the disk is full.
        """
        channels, height, width = (0, 0, 0) if loaded.pixels is None else loaded.pixels.shape
        if loaded.pixels is not None:
            _write_all(self._pixels, loaded.pixels.tobytes())
        row = {
            "row": len(self.rows), "channels": channels, "height": height, "width": width,
            "source_height": loaded.source_size[0], "source_width": loaded.source_size[1], "warning": loaded.warning,
            "error": loaded.error, "digest": loaded.digest, "file_bytes": loaded.state[0],
            "changed_ns": loaded.state[1],
        }  # fmt: skip
        self.rows.append(row)
        self._pending.append(row)
        if time.monotonic() - self._synced_at >= SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Bring everything to the disk: first the pixels, then the lines that tell of them.

        Raises:
            OSError: the disk is full.
        """
        if self._pending:
            os.fsync(self._pixels.fileno())
            _write_all(self._journal, b"".join(json.dumps(row).encode() + b"\n" for row in self._pending))
            os.fsync(self._journal.fileno())
            self._pending.clear()
        self._synced_at = time.monotonic()


def unfinished_folder(folder: Path) -> Path:
    """Where the cache of a folder is made."""
    return folder.parent / f".{folder.name}.tmp"


def has_pixels(unfinished: Path) -> bool:
    """Whether an unfinished cache holds anything that would have to be decoded again without it."""
    for name in (GROWING_FILE, PIXELS_FILE):
        with contextlib.suppress(OSError):
            if (unfinished / name).stat().st_size:
                return True
    return False


def row_state(row: Row) -> FileState:
    """State of the file when it was decoded."""
    return row["file_bytes"], row["changed_ns"]


def is_same_file(path: Path, row: Row) -> bool:
    """Whether a file is still as it was when it was decoded, as far as size and time of change tell."""
    return find_state(path) == row_state(row)


def remove_stale(parent: Path) -> None:
    """Remove the unfinished caches that nobody went on with for a week and that nobody makes at this moment."""
    for folder in parent.glob(".*.tmp"):
        with contextlib.suppress(OSError, filelock.Timeout):
            if not folder.is_symlink() and time.time() - _changed_at(folder) > STALE_S:
                with filelock.FileLock(parent / f"{folder.name[1:-4]}.lock").acquire(timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def _changed_at(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _read_journal(path: Path, about: dict[str, Any]) -> tuple[list[Row], list[int]]:
    """The rows up to the first torn or odd line, and the positions at which their lines end; none of another's."""
    rows: list[Row] = []
    ends: list[int] = []
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        position = 0
        for number, line in enumerate(file, start=-1):
            position += len(line)
            entry = _parse(line)
            if number < 0 and entry != about:
                break
            if number >= 0:
                if entry is None or not _is_row(entry, number):
                    break
                rows.append(entry)
                ends.append(position)
    return rows, ends


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _is_row(entry: dict[str, Any], number: int) -> bool:
    is_typed = entry.keys() == _TYPES.keys() and all(type(entry[name]) is kind for name, kind in _TYPES.items())
    return is_typed and entry["row"] == number and min(entry["channels"], entry["height"], entry["width"]) >= 0


def _is_intact(pixels: bytes, row: Row) -> bool:
    """Whether these are the pixels that a row tells of; of an unreadable image there are none."""
    if len(pixels) != _count_bytes(row):
        return False
    if not pixels:
        return row["digest"] == "" and row["error"] != ""
    shape = row["channels"], row["height"], row["width"]
    return digest_pixels(np.frombuffer(pixels, np.uint8).reshape(shape)) == row["digest"]


def _count_bytes(row: Row) -> int:
    count: int = row["channels"] * row["height"] * row["width"]
    return count


def _open(path: Path) -> BinaryIO:
    """A file to read and write, made where it is missing; without a buffer, so that an error comes where it belongs."""
    path.touch()
    return path.open("r+b", buffering=0)


def _write_all(file: BinaryIO, content: bytes) -> None:
    """Write every byte: a nearly full disk takes a part without complaint."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]
