"""Removes what can be made again, and nothing that is in use. Light.

Every removal checks again at the moment it happens, takes the lock of whoever might be making the same, moves things
aside before they are deleted, follows no link and never leaves the home.
"""

import contextlib
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import filelock

from medpeft_core.errors import RunError
from medpeft_core.housekeeping import feature_files
from medpeft_core.housekeeping.inventory import find_holder, is_young
from medpeft_core.housekeeping.places import (
    BASE_NAME,
    HALF_FEATURES_NAME,
    TRASH_PREFIX,
    find_base_files,
    find_cache_folders,
    find_export_folders,
    find_feature_files,
    find_leftovers,
    find_picture_folders,
    find_pictures,
    has_lock,
)
from medpeft_core.housekeeping.sizes import measure_folder
from medpeft_core.housekeeping.usage import find_data_uses, find_runs_by_base
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore

IN_SIGHT_S = 120.0  # pictures that young may be on somebody's page at this moment


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What a clean-up did.

    Attributes:
        num_removed: caches, files or folders, as the case may be.
        num_bytes: freed.
        kept: a sentence for each thing that was to go and stayed.
    """

    num_removed: int
    num_bytes: int
    kept: tuple[str, ...] = ()


def remove_caches(store: RunStore, jobs: JobStore, names: Collection[str]) -> Cleaned:
    """Remove pixel caches that nobody is at work with.

    A run that begins at this very moment decodes again; one that has the pixels open keeps them until it ends.

    Args:
        names: of their folders, as `CacheInfo` tells them; anything else is passed over.
    """
    removed, freed, kept = 0, 0, []
    for folder in find_cache_folders(store.home):
        if folder.name not in names:
            continue
        lock = filelock.FileLock(folder.parent / f"{folder.name}.lock")
        try:
            with lock.acquire(timeout=0):
                holder = find_holder(folder, find_data_uses(store, jobs))
                if holder is not None:
                    kept.append(f"The decoded images {folder.name[:8]} stay: {holder} needs them.")
                    continue
                aside = _set_aside(folder)
        except filelock.Timeout:
            kept.append(f"The decoded images {folder.name[:8]} stay: a process is decoding them at this moment.")
            continue
        except OSError as error:  # Windows refuses while a process has the pixels open
            kept.append(f"The decoded images {folder.name[:8]} stay: {error.strerror or error}.")
            continue
        removed += 1
        freed += _delete(aside)
    return Cleaned(num_removed=removed, num_bytes=freed, kept=tuple(kept))


def remove_features(store: RunStore) -> Cleaned:
    """Remove the cached features that no run which is queued or at work needs."""
    removed, freed, kept = 0, 0, []
    for path in find_feature_files(store.home):
        try:
            with filelock.FileLock(path.with_suffix(".lock")).acquire(timeout=0):
                holder = feature_files.find_holder(path, feature_files.find_feature_uses(store))
                if holder is not None:
                    kept.append(f"The features {path.name[:8]} stay: {holder} needs them.")
                    continue
                aside = _set_aside(path)
        except filelock.Timeout:
            kept.append(f"The features {path.name[:8]} stay: a run is computing them at this moment.")
            continue
        except OSError as error:  # Windows refuses while a process reads them
            kept.append(f"The features {path.name[:8]} stay: {error.strerror or error}.")
            continue
        removed += 1
        freed += _delete(aside)
    return Cleaned(num_removed=removed, num_bytes=freed, kept=tuple(kept))


def remove_bases(home: Path) -> Cleaned:
    """Remove base weights that no run names, deleted ones included, and that nobody asked for within the last hour."""
    removed, freed, kept = 0, 0, []
    for path in find_base_files(home):
        match = BASE_NAME.fullmatch(path.name)
        assert match is not None
        try:
            if not _is_free(home, match["sha256"], path):
                continue
            aside = _set_aside(path)
            if _is_free(home, match["sha256"], aside):  # again: a run may have begun in between
                removed += 1
                freed += _delete(aside)
            else:
                _put_back(aside, path)
        except OSError as error:
            kept.append(f"The base {path.name[:8]} stays: {error.strerror or error}.")
    return Cleaned(num_removed=removed, num_bytes=freed, kept=tuple(kept))


def remove_pictures(home: Path) -> Cleaned:
    """Remove heat maps and previews that pages kept; those of the last two minutes stay."""
    removed, freed = 0, 0
    for path in find_pictures(home):
        with contextlib.suppress(OSError):  # gone already, or Windows shows it at this moment
            status = path.lstat()
            if time.time() - status.st_mtime < IN_SIGHT_S:
                continue
            path.unlink()
            removed += 1
            freed += status.st_size
    for folder in find_picture_folders(home):
        with contextlib.suppress(OSError):  # it still holds something
            folder.rmdir()
    return Cleaned(num_removed=removed, num_bytes=freed)


def remove_exports(store: RunStore) -> Cleaned:
    """Remove the exports that can be made again, because their runs are here."""
    removed, freed, kept = 0, 0, []
    for folder in find_export_folders(store.home):
        run_id = folder.parent.name
        try:
            store.load(run_id)
        except RunError:
            kept.append(f"The export {run_id}/{folder.name} stays: its run is not here, so it cannot be made again.")
            continue
        try:
            aside = _set_aside(folder)
        except OSError as error:  # Windows refuses while somebody reads it
            kept.append(f"The export {run_id}/{folder.name} stays: {error.strerror or error}.")
            continue
        removed += 1
        freed += _delete(aside)
        with contextlib.suppress(OSError):  # it still holds other formats
            folder.parent.rmdir()
    return Cleaned(num_removed=removed, num_bytes=freed, kept=tuple(kept))


def remove_leftovers(home: Path) -> Cleaned:
    """Remove what killed programs left half made; what a living one is making is under its lock and stays.

    A preparation that was stopped or killed would go on with its unfinished pixel cache; without it, it begins anew.
    """
    removed, freed, kept = 0, 0, []
    for path in find_leftovers(home):
        lock_path = _find_lock(path)
        try:
            with contextlib.ExitStack() as stack:
                if lock_path is not None:
                    stack.enter_context(filelock.FileLock(lock_path).acquire(timeout=0))
                aside = _set_aside(path)
        except filelock.Timeout:
            kept.append(f"{path.name} stays: a process is making it at this moment.")
            continue
        except OSError:
            continue
        removed += 1
        freed += _delete(aside)
    return Cleaned(num_removed=removed, num_bytes=freed, kept=tuple(kept))


def _is_free(home: Path, sha256: str, path: Path) -> bool:
    """Whether no run names a base, and nobody stored or asked for it lately."""
    runs = find_runs_by_base(home)
    return runs is not None and sha256 not in runs and not is_young(path.stat().st_mtime)


def _find_lock(leftover: Path) -> Path | None:
    """The lock of whoever might be making it; None for what only waits to be deleted."""
    if not has_lock(leftover):
        return None
    if (half := HALF_FEATURES_NAME.fullmatch(leftover.name)) is not None:
        return leftover.parent / f"{half['key']}.lock"
    if leftover.name.endswith(".tmp"):  # .<key>.tmp
        return leftover.parent / f"{leftover.name[1:-4]}.lock"
    return leftover.parent / f"{leftover.name.partition('.partial-')[0]}.lock"  # .<set>.partial-...


def _set_aside(path: Path) -> Path:
    """Give something a name that nobody looks for; one rename, so others see it whole or not at all."""
    aside = path.parent / f"{TRASH_PREFIX}{secrets.token_hex(8)}"
    path.rename(aside)
    return aside


def _put_back(aside: Path, path: Path) -> None:
    if path.exists():  # stored anew meanwhile, with the same content
        aside.unlink()
    else:
        aside.rename(path)


def _delete(aside: Path) -> int:
    """Delete a folder or file that was set aside, and give the bytes that it took."""
    if aside.is_dir():
        before = measure_folder(aside).num_bytes
        shutil.rmtree(aside, ignore_errors=True)  # it deletes links, never what they point to
        return before - measure_folder(aside).num_bytes
    size = aside.lstat().st_size
    aside.unlink(missing_ok=True)
    return size
