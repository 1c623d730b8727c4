"""The cached features of linear probing: what each file is, and which run at work needs it. Light.

`training.features` writes them; whatever they depend on stands in the header of each file.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.housekeeping.places import find_feature_files
from medpeft_core.runs.store import RunStore

LENGTH_BYTES = 8  # of the number at the head of a safetensors file that says how long its header is
MAX_HEADER_BYTES = 10**6
METADATA_KEY = "medpeft"


@dataclass(frozen=True, kw_only=True)
class FeatureUse:
    """Features that a run which is queued or at work needs; None where that cannot be told."""

    who: str
    base_sha256: str | None
    pixels_sha256: str | None

    def needs(self, note: dict[str, Any]) -> bool:
        """Whether it may need the features of this note; nobody needs a file without one, which would be made anew."""
        wanted = {"base_sha256": self.base_sha256, "pixels_sha256": self.pixels_sha256}
        return bool(note) and all(value is None or note.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True, kw_only=True)
class FeatureInfo:
    """One file of features.

    Attributes:
        name: of the file.
        backbone: whose features; None where the file is damaged.
        held_by: which run needs it, in words; None: none.
    """

    name: str
    num_bytes: int
    backbone: str | None
    held_by: str | None


def list_features(store: RunStore) -> list[FeatureInfo]:
    """Every file of features, the largest first."""
    files = find_feature_files(store.home)
    uses = find_feature_uses(store) if files else []
    found = []
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            note, size = read_note(path), path.stat().st_size
            holder = find_holder(path, uses)
            found.append(FeatureInfo(name=path.name, num_bytes=size, backbone=note.get("backbone"), held_by=holder))
    return sorted(found, key=lambda info: -info.num_bytes)


def find_feature_uses(store: RunStore) -> list[FeatureUse]:
    """What runs that are queued or at work need."""
    uses = []
    for run in store.list_runs():
        with contextlib.suppress(RunError):  # a damaged run is not at work
            config = None if run.is_finished else run.config()
            if config is not None and config.train.cached_features:
                pixels = run.provenance().get("pixels_sha256")
                base = config.backbone.weights_sha256
                uses.append(FeatureUse(who=f"the run {run.run_id}", base_sha256=base, pixels_sha256=pixels))
    return uses


def find_holder(path: Path, uses: Sequence[FeatureUse]) -> str | None:
    """Which run needs a file of features; None when none does."""
    note = read_note(path)
    return next((use.who for use in uses if use.needs(note)), None)


def read_note(path: Path) -> dict[str, Any]:
    """What a file of features says that it depends on; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
        note = json.loads(header["__metadata__"][METADATA_KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return note if isinstance(note, dict) else {}
