"""What a kept view was made of: label tables and folders as they were, and a digest of the manifest. Light."""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.datasets.manifest import Manifest

MAX_TABLE_FILES = 200
_TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".json", ".parquet", ".xlsx", ".xlsm", ".gz")
_ENDINGS_BEFORE = (".csv", ".tsv", ".txt", ".json", ".parquet", ".xlsx")  # looked for when views had no digest


def describe_sources(root: Path, folders: list[str], tables: Iterable[str]) -> dict[str, list[int]]:
    """See `DataView.sources`; a folder's size is -1, and what is missing is left out.

    Args:
        root: of the images.
        folders: those with images, below the root.
        tables: known ones, see `list_tables`; others are looked for in the root and in the folders right below it that
            hold no images.
    """
    found: dict[str, list[int]] = {}
    for name in sorted({*tables, *_find_tables(root, folders)}):
        with contextlib.suppress(OSError):
            status = (root / name).stat()
            found[name] = [status.st_mtime_ns, status.st_size]
    for folder in folders:
        with contextlib.suppress(OSError):
            found[folder] = [(root / folder).stat().st_mtime_ns, -1]
    return found


def drop_unknown(found: dict[str, list[int]], before: dict[str, list[int]]) -> dict[str, list[int]]:
    """What `describe_sources` gives, as far as it was looked for when views had no digest."""
    return {
        name: facts for name, facts in found.items()
        if name in before or ("/" not in name and name.lower().endswith(_ENDINGS_BEFORE))
    }  # fmt: skip


def list_folders(manifest: Manifest) -> list[str]:
    """The folders with images, below the root of the data set; "." for that itself."""
    return sorted({folder or "." for folder in manifest.table["image"].str.rpartition("/")[0]})


def list_tables(manifest: Manifest, options: dict[str, Any]) -> list[str]:
    """Files that the reader read or that its options name: their paths below the root, or whole ones elsewhere."""
    root = manifest.image_root
    named = options.get("table")
    paths = [*manifest.sources, *([root / Path(named).expanduser()] if isinstance(named, str) and named else [])]
    return [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths]


def digest_manifest(manifest: Manifest) -> str:
    """SHA-256 of all that pages show of a manifest; patients count by which images are theirs, not by their names."""
    table = manifest.table
    table = table.assign(patient_id=pd.factorize(table["patient_id"])[0])
    facts = (manifest.task, manifest.labels, manifest.is_ordered, manifest.notes, tuple(table.columns))
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _find_tables(root: Path, folders: list[str]) -> list[str]:
    """Files that may be tables, by their ending."""
    with_images = {folder.partition("/")[0] for folder in folders}
    found: list[str] = []
    with contextlib.suppress(OSError):
        below = []
        for item in _list(root):
            if item.name.lower().endswith(_TABLE_ENDINGS):
                found.append(item.name)
            elif item.name not in with_images and not item.name.startswith(".") and item.is_dir():
                below.append(item)
        found = sorted(found)[:MAX_TABLE_FILES]
        for folder in sorted(below, key=lambda item: item.name):
            names = [item.name for item in _list(folder) if item.name.lower().endswith(_TABLE_ENDINGS)]
            found += [f"{folder.name}/{name}" for name in sorted(names)]
    return found[:MAX_TABLE_FILES]


def _list(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as items:
        return list(items)
