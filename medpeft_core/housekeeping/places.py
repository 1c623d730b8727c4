"""Where in a home the things lie that could go. Links, and whatever lies behind one, are never found. Light."""

import os
import re
import time
from pathlib import Path

CACHE_NAME = re.compile(r"[0-9a-f]{32}")
FEATURES_NAME = re.compile(r"(?P<key>[0-9a-f]{32})\.safetensors")
HALF_FEATURES_NAME = re.compile(r"\.(?P<key>[0-9a-f]{32})\.safetensors\..+\.tmp")
BASE_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})\.safetensors")
TRASH_PREFIX = ".trash-"
STALE_S = 3600.0  # what has no lock is left over when nobody wrote to it for so long
SHELF_FOLDER, FETCHED_FOLDER, EXPORTS_FOLDER = "weights/shelf", "weights/fetched", "exports"
HALF_SHELF_NAME = re.compile(r"\..+\.tmp")
PICTURE_FOLDERS = ("explanations", "first_batches", "masking")


def find_cache_folders(home: Path) -> list[Path]:
    """The folders of the finished pixel caches."""
    return [path for path in list_folders(home, "cache/pixels") if CACHE_NAME.fullmatch(path.name)]


def find_unfinished_caches(home: Path) -> list[Path]:
    """The folders of pixel caches whose builder was stopped or killed, or is at work."""
    return [path for path in list_folders(home, "cache/pixels") if re.fullmatch(r"\..+\.tmp", path.name)]


def find_base_files(home: Path) -> list[Path]:
    """The files of base weights, without downloads."""
    return [path for path in list_files(home, "weights") if BASE_NAME.fullmatch(path.name)]


def find_feature_files(home: Path) -> list[Path]:
    """The files of cached features, without what was half written."""
    return [path for path in list_files(home, "cache/features") if FEATURES_NAME.fullmatch(path.name)]


def find_pictures(home: Path) -> list[Path]:
    """The files that pages keep to show a picture again."""
    return [path for folder in find_picture_folders(home) for path in list_files(home, str(folder.relative_to(home)))]


def find_picture_folders(home: Path) -> list[Path]:
    """The folders that these files lie in."""
    return [folder for name in PICTURE_FOLDERS for folder in list_folders(home, f"cache/{name}")]


def find_export_folders(home: Path) -> list[Path]:
    """The exports that lie in the home, a folder for each run and format."""
    runs = [folder for folder in list_folders(home, EXPORTS_FOLDER) if not folder.name.startswith(".")]
    formats = [path for folder in runs for path in list_folders(home, f"{EXPORTS_FOLDER}/{folder.name}")]
    return [path for path in formats if not path.name.startswith(".")]


def find_leftovers(home: Path) -> list[Path]:
    """Caches, features, sets, shelf files and exports that were never finished, and what could not be deleted."""
    found = find_unfinished_caches(home)
    found += [path for path in list_folders(home, "datasets") if re.fullmatch(r"\..+\.partial-.+", path.name)]
    found += [path for path in list_files(home, "cache/features") if HALF_FEATURES_NAME.fullmatch(path.name)]
    found += [path for path in _find_unlocked(home) if _is_stale(path)]
    for name in ("cache/pixels", "cache/features", "datasets", "weights", SHELF_FOLDER, EXPORTS_FOLDER):
        found += [
            path for path in [*list_folders(home, name), *list_files(home, name)] if path.name.startswith(TRASH_PREFIX)
        ]
    return found


def has_lock(leftover: Path) -> bool:
    """Whether whoever makes such a thing holds a lock beside it."""
    return not leftover.name.startswith(TRASH_PREFIX) and leftover.parent.name in ("pixels", "features", "datasets")


def _find_unlocked(home: Path) -> list[Path]:
    """Half-written files of the shelf, downloads for it that broke off, and half-written exports."""
    found = [path for path in list_files(home, SHELF_FOLDER) if HALF_SHELF_NAME.fullmatch(path.name)]
    found += [path for path in list_files(home, FETCHED_FOLDER) if not path.name.endswith(".lock")]
    for folder in list_folders(home, EXPORTS_FOLDER):
        inside = list_folders(home, f"{EXPORTS_FOLDER}/{folder.name}")
        found += [path for path in inside if path.name.startswith(".")]
    return found


def _is_stale(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > STALE_S
    except FileNotFoundError:
        return False


def list_folders(home: Path, name: str) -> list[Path]:
    """The folders in a folder of the home, by name."""
    return [Path(entry.path) for entry in _scan(home, name) if entry.is_dir(follow_symlinks=False)]


def list_files(home: Path, name: str) -> list[Path]:
    """The files in a folder of the home, by name."""
    return [Path(entry.path) for entry in _scan(home, name) if entry.is_file(follow_symlinks=False)]


def is_below_link(folder: Path, home: Path) -> bool:
    """Whether a folder of the home, or one between it and the home, is a link to another place."""
    steps = [folder, *folder.parents]
    return any(step.is_symlink() for step in steps[: steps.index(home)])


def _scan(home: Path, name: str) -> list[os.DirEntry[str]]:
    folder = home / name
    if is_below_link(folder, home):
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # missing, or not ours to read
        return []
