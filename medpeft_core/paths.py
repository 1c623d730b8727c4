"""Where the lab keeps its files, and how a file is replaced so that nobody ever reads half of one."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

HOME_VARIABLE = "MEDPEFT_HOME"
REPLACE_TRIES = 20
REPLACE_WAIT_S = 0.05


def get_home() -> Path:
    """The lab's folder: `MEDPEFT_HOME`, else the platform's user data folder. It need not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_data_dir("medpeft"))


def ensure_dir(folder: Path) -> Path:
    """The folder, made with its parents where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def datasets_dir() -> Path:
    """Data sets that the lab made or fetched itself."""
    return get_home() / "datasets"


def cache_dir() -> Path:
    """Decoded pixels; everything in it can be made again."""
    return get_home() / "cache"


def weights_dir() -> Path:
    """Base weights by their hash, and downloads of pre-trained ones."""
    return get_home() / "weights"


def runs_dir() -> Path:
    """One folder a run."""
    return get_home() / "runs"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, sync it and rename it; `path` is whole at any moment.

    Args:
        path: the file to make or replace; its folder exists.
        write: gets the temporary path and writes the whole content. If it raises, `path` stays as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _sync(temporary)
        temporary.chmod(0o644)  # mkstemp makes 0600, which a group on a shared server could not read
        rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_files(folder: Path) -> None:
    """Make sure that every file below `folder` is on the disk, before the folder is renamed into place."""
    for path in folder.rglob("*"):
        if path.is_file():
            _sync(path)


def rename(source: Path, target: Path) -> None:
    """Rename a file over `target`, or a folder; on Windows a reader that holds one open for a moment is waited for."""
    for _ in range(REPLACE_TRIES - 1):
        try:
            source.replace(target)
            return
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(REPLACE_WAIT_S)
    source.replace(target)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically. NaN is refused: it is not JSON, and a missing number is `null`."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
