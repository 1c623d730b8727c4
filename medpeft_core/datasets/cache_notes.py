"""A note in each pixel cache: whose images it holds, and when they were used last.

A cache can be used without it; the note is for people who want to know what a cache is before they remove it.
"""

import contextlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from medpeft_core.paths import read_json, write_json

NOTE_FILE = "about.json"
NOTE_EVERY_S = 600.0  # whoever asks for the data again within this changes nothing


@dataclass(frozen=True, kw_only=True)
class CacheNote:
    """What is known of a pixel cache.

    Attributes:
        dataset: name of the data set.
        root: the folder that it was read from; None where the lab made it.
        used_at: unix time of the last use.
    """

    dataset: str
    root: str | None
    used_at: float = 0.0


def note_use(folder: Path, *, dataset: str, root: str | None) -> None:
    """Write that a cache is used now; where that cannot be written nothing happens.

    Args:
        folder: of the cache.
        dataset, root: what was prepared.
    """
    before = read_note(folder)
    is_same = before is not None and (before.dataset, before.root) == (dataset, root)
    if before is not None and is_same and 0 <= time.time() - before.used_at < NOTE_EVERY_S:
        return
    note = CacheNote(dataset=dataset, root=root, used_at=time.time())
    with contextlib.suppress(OSError):  # a full disk, or removed at this moment: no reason to refuse the data
        write_json(folder / NOTE_FILE, asdict(note))


def read_note(folder: Path) -> CacheNote | None:
    """The note, or None where there is none that can be read."""
    try:
        values = read_json(folder / NOTE_FILE)
        return CacheNote(**{name: values.get(name) for name in CacheNote.__dataclass_fields__})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
