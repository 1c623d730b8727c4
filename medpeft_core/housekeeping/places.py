"""Where in a home the things lie that could go. Links, and whatever lies behind one, are never found. Light."""

import os
import re
from pathlib import Path

CACHE_NAME = re.compile(r"[0-9a-f]{32}")
FEATURES_NAME = re.compile(r"(?P<key>[0-9a-f]{32})\.safetensors")
HALF_FEATURES_NAME = re.compile(r"\.(?P<key>[0-9a-f]{32})\.safetensors\..+\.tmp")
BASE_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})\.safetensors")
TRASH_PREFIX = ".trash-"
PICTURE_FOLDERS = ("explanations", "first_batches", "masking")


def find_cache_folders(home: Path) -> list[Path]:
    """The folders of the finished pixel caches."""
    return [path for path in list_folders(home, "cache/pixels") if CACHE_NAME.fullmatch(path.name)]


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


def find_leftovers(home: Path) -> list[Path]:
    """Caches, features and synthetic sets that were never finished, and what an earlier clean-up could not delete."""
    found = [path for path in list_folders(home, "cache/pixels") if re.fullmatch(r"\..+\.tmp", path.name)]
    found += [path for path in list_folders(home, "datasets") if re.fullmatch(r"\..+\.partial-.+", path.name)]
    found += [path for path in list_files(home, "cache/features") if HALF_FEATURES_NAME.fullmatch(path.name)]
    for name in ("cache/pixels", "cache/features", "datasets", "weights"):
        found += [
            path for path in [*list_folders(home, name), *list_files(home, name)] if path.name.startswith(TRASH_PREFIX)
        ]
    return found


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
