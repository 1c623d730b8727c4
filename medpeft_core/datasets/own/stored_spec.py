"""Stored own data sets as specs, so that they stand among all others under their names. Light."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from medpeft_core.config import setting
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.stored_sets import About, list_stored, read_stored
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.errors import DataError

SHOWN_FINGERPRINT = 12
_LOOKED_AT = 1000  # of a large set, spread evenly
_HELP = (
    "Begin of the fingerprint of the stored set. A run keeps it, so that it is never repeated on another set of the "
    "same "
    "name."
)


def build_spec(about: About) -> DatasetSpec:
    """The spec of a stored set; it asks for a folder only where that of its images is gone."""
    place = about.folder
    is_there = place is not None and place.is_dir()
    patients = about.counts.get("patients")
    size = f"{about.counts['images']:,} images" + (f" of {patients:,} patients" if patients else "")
    gone = f"Its images were in {place}, which is gone." if place else "It was shared without its images."
    return DatasetSpec(
        name=about.name,
        title=about.title,
        description=f"Your own data set: {size}, {len(about.labels)} labels. Stored with the fingerprint "
        f"{about.fingerprint[:SHOWN_FINGERPRINT]}.",
        task=about.task,
        labels=about.labels,
        is_synthetic=False,
        needs_root=not is_there,
        has_dicom=True,
        licence="Your own data; nothing leaves this machine.",
        how_to_get=f"Its images are in {place}." if is_there else f"{gone} Give the folder that holds them now.",
        citation="",
        read=partial(_read, about),
        options=_build_options(about.fingerprint[:SHOWN_FINGERPRINT]),
        size=size,
        modality="your own images",
        inspect=partial(_inspect, about),
    )


def find_stored_specs() -> dict[str, DatasetSpec]:
    """The specs of all sets that are stored in this home."""
    return {name: build_spec(about) for name, about in list_stored().items()}


def _build_options(fingerprint: str) -> type[Any]:
    fields = [("fingerprint", str, setting(fingerprint, _HELP))]
    return dataclasses.make_dataclass("StoredOptions", fields, frozen=True, kw_only=True)


def _read(about: About, root: Path | None, options: Any, *, split_seed: int, progress: Progress) -> Manifest:
    if options.fingerprint and not about.fingerprint.startswith(options.fingerprint):
        raise DataError(
            f"The data set {about.name} has changed: its fingerprint is {about.fingerprint[:SHOWN_FINGERPRINT]}, but "
            f"{options.fingerprint} is asked for (data.fingerprint). Open or add that set under another name, or leave "
            "the setting out to use this one."
        )
    progress("reading the manifest", 0, 1)
    manifest = read_stored(about, root)
    progress("reading the manifest", 1, 1)
    return manifest


def _inspect(about: About, root: Path, options: Any) -> list[FolderPart]:
    try:
        paths = read_stored(about, root).paths()
    except DataError as error:
        return [FolderPart(title="images", is_there=False, is_needed=True, detail=str(error))]
    looked_at = paths[:: max(1, len(paths) // _LOOKED_AT)]
    found = sum(path.is_file() for path in looked_at)
    sample = "" if len(looked_at) == len(paths) else " that were looked for"
    detail = f"{found:,} of {len(looked_at):,}{sample} are there"
    return [FolderPart(title="images", is_there=found > 0, is_needed=True, detail=detail)]


DATASETS.find_stored = find_stored_specs
