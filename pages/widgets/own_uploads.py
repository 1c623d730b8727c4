"""Images that come through the browser: written into the home under safe names, and removed when nobody wants them.

The browser's names are only believed as far as they name a place below the upload's own folder.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from medpeft_core.datasets.own.sharing import ENDING
from medpeft_core.datasets.own.unpacking import unpack_zips
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir
from medpeft_core.runs.disk import is_disk_full
from pages.widgets.weights_uploads import uploads_dir
from pages.widgets.wording import write_bytes

KEPT_S = 24 * 3600.0  # an upload that no data set was made of
CHUNK_BYTES = 2**20
MAX_PART, MAX_PARTS = 120, 12  # characters of a name, folders inside one another
SKIPPED = ("thumbs.db", "desktop.ini", "__macosx")
_FOLDER_NAME = re.compile(r"own-[0-9a-f]{16}")
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')  # what Windows does not take in a name

Tell = Callable[[int, int], object]


def make_folder() -> Path:
    """A new, empty folder for an upload."""
    return ensure_dir(uploads_dir() / f"own-{secrets.token_hex(8)}")


def clean_path(name: str) -> PurePosixPath | None:
    """Where an upload may lie below its folder; None for what systems leave behind, such as `.DS_Store`.

    Args:
        name: what the browser says, with the folders that it lay in.
    """
    parts = [_FORBIDDEN.sub("_", part).strip() for part in name.replace("\\", "/").split("/")]
    parts = [part for part in parts if part.strip(".")]
    if not parts or any(part.startswith(".") or part.casefold() in SKIPPED for part in parts):
        return None
    return PurePosixPath(*(_shorten(part) for part in parts[-MAX_PARTS:]))


def keep_files(uploads: Iterable[Any], folder: Path, *, tell: Tell) -> int:
    """Write uploads below a folder; a name that is there already is replaced.

    Args:
        uploads: what the widget gave.
        folder: of `make_folder`.
        tell: is called with the files written and their number.

    Returns:
        How many were written.

    Raises:
        DataError: two of them have one name, or the disk is full.
    """
    files = [(clean_path(str(item.name)), item) for item in uploads]
    wanted = [(path, item) for path, item in files if path is not None]
    _check_names([path for path, _ in wanted])
    for number, (path, item) in enumerate(wanted):
        tell(number, len(wanted))
        target = folder.joinpath(*path.parts)
        try:
            ensure_dir(target.parent)
            item.seek(0)
            with target.open("wb") as file:
                shutil.copyfileobj(item, file, CHUNK_BYTES)
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise DataError(
                f"The disk is full: {write_bytes(item.size)} could not be kept. Free some space."
            ) from error
    return len(wanted)


def take_in(uploads: Iterable[Any], folder: Path, *, progress: Progress) -> str:
    """Write uploads below a folder, and unpack those that are zips.

    Returns:
        A sentence on what was left out of the zips, or "".

    Raises:
        DataError: see `keep_files` and `unpack_zips`; a zip that is refused is not kept.
    """
    files = list(uploads)
    shared = next((item.name for item in files if str(item.name).lower().endswith(ENDING)), None)
    if shared is not None:
        raise DataError(
            f"{shared} is a shared data set. Open it under “Open a shared data set” at the end of the page."
        )
    keep_files(files, folder, tell=lambda done, total: progress("keeping files", done, total))
    try:
        return unpack_zips(folder, progress=progress).note
    finally:
        for path in folder.glob("*.[zZ][iI][pP]"):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def keep_shared(upload: Any) -> Iterator[Path]:
    """An upload as a file with a name of its own while it is read.

    Raises:
        DataError: the disk is full.
    """
    folder = make_folder()
    try:
        name = clean_path(str(upload.name))
        keep_files([upload], folder, tell=lambda done, total: None)
        yield folder / (name or "")
    finally:
        remove_upload(folder)


def describe_folder(folder: Path) -> tuple[int, int]:
    """How many files are in it, and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def remove_upload(folder: Path) -> None:
    """Remove an upload; a folder that is none is left alone."""
    inside = [parent for parent in (folder, *folder.parents) if parent.parent == uploads_dir()]
    if inside and _FOLDER_NAME.fullmatch(inside[0].name):
        shutil.rmtree(inside[0], ignore_errors=True)


def keep_longer(folder: Path) -> None:
    """A job begins to read an upload: its day begins anew."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def sweep_uploads() -> None:
    """Remove the uploads that nobody has made a data set of within a day."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(uploads_dir()):
            if _FOLDER_NAME.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > KEPT_S:
                shutil.rmtree(entry.path, ignore_errors=True)


def _check_names(paths: list[PurePosixPath]) -> None:
    """Files of several folders, dropped together, would replace one another without a word."""
    doubled = next((path for path, count in Counter(paths).items() if count > 1), None)
    if doubled is not None:
        raise DataError(f"Two of the files are named {doubled}. Upload the folder that they lie in, or a zip of it.")


def _shorten(part: str) -> str:
    """A name of bearable length that keeps its ending."""
    part = part.rstrip(". ")
    stem, dot, ending = part.rpartition(".")
    if len(part) <= MAX_PART:
        return part
    return f"{stem[: MAX_PART - len(ending) - 1]}{dot}{ending}" if stem and len(ending) < 12 else part[:MAX_PART]
