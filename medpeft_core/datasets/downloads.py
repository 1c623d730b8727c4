"""One file of the web on the disk: with progress and a stop, going on where it broke off, checked, then renamed."""

import hashlib
import http.client
import shutil
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.web_addresses import AddressRules, open_url
from medpeft_core.datasets.whole_folders import acquire
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir, rename

MAX_TRIES = 3  # without a single byte gained
RETRY_WAIT_S = 1.0
CHUNK_BYTES = 1 << 18
KIB, MIB = 1 << 10, 1 << 20
MAY_PASS = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another one in a while
_GONE = (urllib.error.URLError, OSError, http.client.HTTPException)


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """A file to be downloaded.

    Attributes:
        url: where it is.
        max_bytes: what it can have at most; more is refused.
        md5: of the whole file, in hexadecimal; "" where nobody says.
    """

    url: str
    max_bytes: int
    md5: str = ""


def download(file: WebFile, path: Path, *, rules: AddressRules, progress: Progress) -> None:
    """Download a file; what came before a stop or a lost connection is kept beside it as `<name>.part` and used.

    Args:
        file: what is wanted.
        path: where it is put, whole and checked; one that is there is replaced.
        rules: which addresses may be asked.
        progress: told of KiB or MiB; may raise to stop.

    Raises:
        DataError: the server cannot be reached or has no such file, the file is not what was announced, or the disk is
            full.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        ensure_dir(path.parent)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        acquire(lock, progress, f"waiting for another program that downloads {path.name}")
        try:
            _fetch_all(file, part, rules, progress)
            _check_content(file, part, progress)
            rename(part, path)
        finally:
            lock.release()
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error}. Check free space and permissions, then start the download again."
        ) from error


def _fetch_all(file: WebFile, part: Path, rules: AddressRules, progress: Progress) -> None:
    tries = 0
    while True:
        have = _size(part)
        try:
            reason = _fetch(file, part, have, rules, progress)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:
                if error.headers.get("Content-Range") == f"bytes */{have}":
                    return  # it was whole already when somebody ended the program
                part.unlink()  # no beginning of that file
                continue
            if error.code not in MAY_PASS:
                raise DataError(
                    f"{file.url} cannot be downloaded: the server answers {error.code} ({error.reason}). Try again "
                    "later, or get the file by other means."
                ) from error
            reason = f"the server answers {error.code} ({error.reason})"
        if not reason:
            return
        tries = 0 if _size(part) > have else tries + 1
        if tries == MAX_TRIES:
            kept = " What is here is kept; start it again to go on from there." if _size(part) else ""
            raise DataError(
                f"{file.url} cannot be downloaded: {reason}. Check the connection of this computer to the internet "
                f"and try again, or get the file by other means.{kept}"
            )
        _wait(progress, reason)


def _fetch(file: WebFile, part: Path, have: int, rules: AddressRules, progress: Progress) -> str:
    """Ask for what is missing and append it; gives why it broke off, or "" when the file is whole."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = open_url(file.url, rules, headers=headers)
    except urllib.error.HTTPError:
        raise
    except _GONE as error:
        return _explain(error)
    with response:
        done, total = _place(response, have)
        if total is not None and total > file.max_bytes:
            raise DataError(f"{file.url} has {total:,} bytes, but at most {file.max_bytes:,} can be right. Not taken.")
        _check_space(part, (total or 0) - done)
        unit, name = _unit(total), part.name.removesuffix(".part")
        with part.open("ab" if done else "wb") as target:
            while True:
                progress(
                    f"downloading {name} ({'MiB' if unit == MIB else 'KiB'})", done // unit, -(-(total or 0) // unit)
                )
                try:
                    chunk = response.read1(CHUNK_BYTES)
                except _GONE as error:
                    return _explain(error)
                if not chunk:
                    break
                done += len(chunk)
                if done > file.max_bytes:
                    target.close()
                    part.unlink()
                    raise DataError(f"{file.url} sends more than the {file.max_bytes:,} bytes that can be right.")
                target.write(chunk)
    return "" if total is None or done == total else "the server closed the connection"


def _place(response: Any, have: int) -> tuple[int, int | None]:
    """How many bytes are here already, and how many there are in all, from the headers."""
    length = response.headers.get("Content-Length")
    remaining = int(length) if length and length.isdigit() else None
    begins = str(response.headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    done = have if have and response.status == 206 and begins == str(have) else 0
    if response.status == 206 and not done:
        raise DataError("The server sent another part of the file than was asked for. Try again later.")
    return done, None if remaining is None else done + remaining


def _check_content(file: WebFile, part: Path, progress: Progress) -> None:
    if not file.md5:
        return
    found = compute_md5(part, progress)
    if found != file.md5:
        part.unlink()
        raise DataError(
            f"What came from {file.url} is not the file that was announced: its MD5 is {found}, not {file.md5}. It was "
            "thrown away; try again."
        )


def compute_md5(path: Path, progress: Progress) -> str:
    """MD5 of a file in hexadecimal; `progress` may raise to stop."""
    digest, done, total = hashlib.md5(usedforsecurity=False), 0, _size(path)
    with path.open("rb") as file:
        while chunk := file.read(8 * MIB):
            digest.update(chunk)
            done += len(chunk)
            progress("checking the download (MiB)", done // MIB, -(-total // MIB))
    return digest.hexdigest()


def _check_space(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise DataError(
            f"{part.parent} has {free // MIB:,} MiB free, but {-(-wanted // MIB):,} MiB more are needed. Free "
            "the disk, or move the lab's home to a larger one."
        )


def _wait(progress: Progress, reason: str) -> None:
    ends_at = time.monotonic() + RETRY_WAIT_S
    while time.monotonic() < ends_at:
        progress(f"trying again, because {reason}", 0, 0)
        time.sleep(0.1)


def _explain(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__


def _unit(total: int | None) -> int:
    return MIB if (total or 0) >= 10 * MIB else KIB


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
