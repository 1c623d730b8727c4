"""Own data sets as they are stored, `<home>/datasets/own/<name>/`: their manifest, and what is known about it. Light.

    manifest.parquet   the table of the manifest, patients under pseudonyms
    about.json         title, task, labels, folder of the images, fingerprint, how it was read

Both are written once, into a folder that gets its name last; nothing in it changes after that.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medpeft_core.datasets.manifest import FIXED_COLUMNS, OPTIONAL_COLUMNS, SPLITS, Manifest
from medpeft_core.errors import DataError
from medpeft_core.paths import datasets_dir, get_home, read_json, write_json

MANIFEST_FILE, ABOUT_FILE = "manifest.parquet", "about.json"
FORMAT_VERSION = 1
MAX_NAME = 40
MAX_ABOUT_BYTES = 8 << 20
NAME_PATTERN = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}")
_TEXT_COLUMNS = ("view", "sex", "laterality", "skin_type", "site", "date", "boxes", "mask", "patient_id")


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of a stored set beside its manifest.

    Attributes:
        root: folder of the images as text, relative to the home where it lies in it; "" where nobody gave one.
        form: the reader that read it: "folder", "table" or "dicom".
        options: of that reader.
        fingerprint: see `find_fingerprint`; the same in every home.
        counts: "images", "patients" (None: not known), and images of "train", "val" and "test".
        notes: of the manifest.
        made_at: unix seconds.
        origin: "added" here, or "opened" from a shared file.
    """

    name: str
    title: str
    task: str
    labels: tuple[str, ...]
    is_ordered: bool
    root: str
    form: str
    options: dict[str, Any]
    fingerprint: str
    counts: dict[str, int | None]
    notes: tuple[str, ...]
    made_at: float
    origin: str = "added"
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "labels": list(self.labels), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "About":
        """What `to_dict` described.

        Raises:
            KeyError, TypeError: something is missing or superfluous.
        """
        return cls(**{**values, "labels": tuple(values["labels"]), "notes": tuple(values["notes"])})

    @property
    def folder(self) -> Path | None:
        """Folder of the images; None where nobody gave one."""
        return get_home() / self.root if self.root else None


def own_dir() -> Path:
    """The folder of all stored sets of this home."""
    return datasets_dir() / "own"


def list_stored() -> dict[str, About]:
    """The stored sets of this home by name, sorted; damaged ones are left out."""
    found = {}
    for path in sorted(own_dir().glob(f"*/{ABOUT_FILE}")):
        about = _load_cached(path)
        if about is not None:
            found[about.name] = about
    return found


def load_about(name: str) -> About:
    """What is known of one set.

    Raises:
        DataError: there is none of that name.
    """
    about = list_stored().get(name) if NAME_PATTERN.fullmatch(name) else None
    if about is None:
        known = ", ".join(list_stored()) or "none so far"
        raise DataError(f"There is no data set of your own called {name!r}. Stored: {known}.")
    return about


def read_stored(about: About, root: Path | None) -> Manifest:
    """The manifest of a stored set.

    Args:
        about: of the set.
        root: folder of its images, where they have moved; None: where they were.

    Raises:
        DataError: the folder is gone or does not hold these images, or the file is damaged.
    """
    place = root or about.folder
    if place is None or not place.is_dir():
        where = f"The images of {about.name} were in {place}, which is gone" if place else f"{about.name} has no folder"
        raise DataError(f"{where}. Give the folder that holds them now, with --root FOLDER (data.root).")
    path = own_dir() / about.name / MANIFEST_FILE
    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"The stored data set {about.name} is damaged ({error}). Remove it with `data remove {about.name}` and "
            "add it "
            "again."
        ) from error
    table = restore_types(table)
    if not any((place / image).is_file() for image in _sample(table["image"])):
        raise DataError(
            f"None of the images of {about.name} is in {place}, for example {table['image'].iloc[0]}. Give the folder "
            "that holds them now, with --root FOLDER (data.root)."
        )
    return Manifest(
        dataset=about.name, task=about.task, labels=about.labels, image_root=place, table=table,
        is_ordered=about.is_ordered, notes=about.notes,
    )  # fmt: skip


def write_set(folder: Path, manifest: Manifest, about: About) -> None:
    """Fill a new folder with both files; the caller syncs it and gives it its name."""
    columns = [*FIXED_COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in manifest.table), *manifest.labels]
    pq.write_table(pa.Table.from_pandas(manifest.table[columns], preserve_index=False), folder / MANIFEST_FILE)
    write_json(folder / ABOUT_FILE, about.to_dict())


def find_fingerprint(manifest: Manifest) -> str:
    """SHA-256 of images, patients, splits, targets and grades; whatever the set and its patients are called.

    A patient counts as the first of its images, because pseudonyms differ from home to home.
    """
    table = manifest.table.sort_values("image", ignore_index=True)
    firsts = table[table["patient_id"].notna()].drop_duplicates("patient_id").set_index("patient_id")["image"]
    named = table["patient_id"].map(firsts).astype(object)
    table["patient_id"] = named.where(named.notna(), None)
    plain = replace(manifest, dataset="own grades" if manifest.is_ordered else "own", table=table)
    return plain.fingerprint()


def count_manifest(manifest: Manifest) -> dict[str, int | None]:
    """See `About.counts`."""
    splits = manifest.table["split"].value_counts()
    patients = int(manifest.table["patient_id"].nunique()) if manifest.has_patients else None
    return {"images": len(manifest), "patients": patients, **{name: int(splits.get(name, 0)) for name in SPLITS}}


def restore_types(table: pd.DataFrame) -> pd.DataFrame:
    """Texts as objects with None where they are missing, as readers give them."""
    for name in _TEXT_COLUMNS:
        if name in table:
            table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table


_known: dict[tuple[str, int, int], About | None] = {}


def _load_cached(path: Path) -> About | None:
    """About a set, parsed again only when its file has changed; None where it is damaged or of another version."""
    try:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in _known:
            _known[key] = _parse(path)
        return _known[key]
    except OSError:
        return None


def _parse(path: Path) -> About | None:
    try:
        if path.stat().st_size > MAX_ABOUT_BYTES:
            return None
        about = About.from_dict(read_json(path))
    except (ValueError, KeyError, TypeError, AttributeError, json.JSONDecodeError):
        return None
    is_fine = about.name == path.parent.name and NAME_PATTERN.fullmatch(about.name)
    return about if is_fine and about.format_version <= FORMAT_VERSION else None


def _sample(images: pd.Series, count: int = 20) -> list[str]:
    rows = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int))
    return images.iloc[rows].tolist()
