"""A full disk: how it shows, what is said about it, and bytes held back so that a run's end can be written."""

import errno
import os
import sqlite3
from pathlib import Path

RESERVE_BYTES = 256 * 1024
_FULL_CODES = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
# Libraries written in Rust and C++ report the system's code in their text only.
_FULL_PHRASES = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "disk is full",
    "not enough space on the disk",
)


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that a file could not grow: disk full, quota used up, or file size limit reached."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL_CODES
    can_tell = isinstance(error, OSError | RuntimeError | sqlite3.Error) or type(error).__name__ == "SafetensorError"
    return can_tell and any(phrase in str(error).lower() for phrase in _FULL_PHRASES)


def describe_full_disk(error: BaseException, folder: Path) -> str:
    """The message for people."""
    return f"The disk is full: {error} (writing below {folder}). Free some space, then resume the run."


class DiskReserve:
    """A file of real bytes that is given up when the disk is full."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Take the space.

        Raises:
            OSError: there is not that much; what was written is still there to be released.
        """
        with self.path.open("wb") as file:
            file.write(os.urandom(RESERVE_BYTES))  # random: a compressing file system would not hold back zeros
            file.flush()
            os.fsync(file.fileno())

    def release(self) -> None:
        """Give the space back; once is enough, twice does no harm."""
        self.path.unlink(missing_ok=True)
