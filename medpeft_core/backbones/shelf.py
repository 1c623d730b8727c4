"""The weights shelf: files of pre-trained weights that were added to a home, each with where it came from. Light.

<home>/weights/shelf/<name>.safetensors     tensors by timm's names, converted once
<home>/weights/shelf/<name>.json            a `ShelfEntry`
"""

import contextlib
import dataclasses
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import filelock

from medpeft_core.errors import BackboneError
from medpeft_core.paths import ensure_dir, read_json

SHELF_PREFIX = "shelf:"  # --weights shelf:NAME
LOCK_TIMEOUT_S = 60.0
ASIDE_PREFIX = ".trash-"  # what it begins with is on its way out; a clean-up of the home takes what was left
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class ShelfEntry:
    """What is known of one file on the shelf.

    Attributes:
        name: unique name in this home, by which `--weights shelf:NAME` finds it.
        backbone: timm name of the model whose weights they are.
        layout: name of the layout that the original had.
        source: where it came from: the file's name, or "hf:OWNER/NAME/FILE@REVISION".
        source_sha256: of the original file.
        sha256: of the file on the shelf.
        num_bytes: of the file on the shelf.
        licence: as its source states it; "" where it states none.
        reference: paper or address; "" where none is known.
        mean, std: normalisation constants that were chosen for it; None for the backbone's own.
        known_as: name of the entry of `KNOWN_WEIGHTS` that it was added as; "" for none.
        added_at: unix seconds.
        counts: how many tensors met which fate (`KeyReport`).
    """

    name: str
    backbone: str
    layout: str
    source: str
    source_sha256: str
    sha256: str
    num_bytes: int
    licence: str = ""
    reference: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    known_as: str = ""
    added_at: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The entry that `to_dict` described; keys of another version are ignored.

        Raises:
            TypeError: a key is missing.
        """
        known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
        for name in ("mean", "std"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known)


def shelf_dir(home: Path) -> Path:
    """The folder of the shelf."""
    return home / "weights" / "shelf"


def shelf_file(home: Path, name: str) -> Path:
    """Where the tensors of an entry lie.

    Raises:
        BackboneError: the text is no name of an entry; no text may lead to another folder.
    """
    if NAME_PATTERN.fullmatch(name) is None:
        raise BackboneError(
            f"{name!r} is no name of weights on the shelf: small letters, digits, dots, hyphens and underscores, at "
            "most 64. `python -m medpeft_core weights` lists what is there."
        )
    return shelf_dir(home) / f"{name}.safetensors"


def list_shelf(home: Path) -> list[ShelfEntry]:
    """What is on the shelf, by name; entries without their file, or damaged ones, are left out."""
    found = []
    for path in sorted(shelf_dir(home).glob("*.json")):
        try:
            entry = ShelfEntry.from_dict(read_json(path))
        except (OSError, ValueError, TypeError, AttributeError):
            continue
        if entry.name == path.stem and path.with_suffix(".safetensors").is_file():
            found.append(entry)
    return found


def find_on_shelf(home: Path, name: str) -> ShelfEntry:
    """The entry of that name.

    Raises:
        BackboneError: there is none; lists what there is.
    """
    shelf_file(home, name)  # checks the name
    entries = {entry.name: entry for entry in list_shelf(home)}
    if name not in entries:
        there = f"There are: {', '.join(entries)}." if entries else "It is empty."
        raise BackboneError(
            f"There are no weights {name!r} on the shelf. {there} Add some with `python -m medpeft_core weights add`."
        )
    return entries[name]


def check_shelf_file(home: Path, entry: ShelfEntry) -> None:
    """Refuse a file that is no longer what was put on the shelf; reads all of it (a second for 400 MB).

    Raises:
        BackboneError: it is gone, or its SHA-256 differs.
    """
    path = shelf_file(home, entry.name)
    try:
        is_intact = hash_file(path) == entry.sha256
    except FileNotFoundError as error:
        raise BackboneError(
            f"The file {path} of the weights {entry.name!r} is gone. Put it back, or remove the entry and add it again."
        ) from error
    if not is_intact:
        raise BackboneError(
            f"The file {path} has changed since it was put on the shelf (its SHA-256 differs). Put the original back, "
            f"or remove the weights {entry.name!r} and add them again from {entry.source}."
        )


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock_shelf(home: Path) -> Iterator[None]:
    """One change of the shelf at a time, in all processes.

    Raises:
        BackboneError: another process holds it for very long.
    """
    lock = filelock.FileLock(ensure_dir(shelf_dir(home)) / ".lock")
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except filelock.Timeout as error:
        raise BackboneError("Another process is changing the weights shelf. Try again in a moment.") from error
    try:
        yield
    finally:
        lock.release()


def take_off_shelf(home: Path, name: str) -> int:
    """Delete an entry with its file, inside `lock_shelf`; whether a run needs it is for the caller to know.

    Returns:
        The bytes that it took.

    Raises:
        OSError: the system keeps the file; then the entry is there as before.
    """
    path = shelf_file(home, name)
    aside = path.with_name(f"{ASIDE_PREFIX}{secrets.token_hex(8)}")
    num_bytes = path.stat().st_size
    path.rename(aside)  # from now on there is no such entry
    path.with_suffix(".json").unlink(missing_ok=True)
    aside.unlink(missing_ok=True)
    return num_bytes
