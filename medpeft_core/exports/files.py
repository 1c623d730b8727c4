"""Where exports lie in a home, and what is in one. Light."""

from pathlib import Path
from typing import Any

from medpeft_core.paths import read_json

EXPORT_FILE = "export.json"  # in each export: format, files with their hashes, how exact it is, notes


def exports_dir(home: Path) -> Path:
    """The folder of the exports that were made from a page: `<run_id>/<format>` below it."""
    return home / "exports"


def list_files(folder: Path) -> list[str]:
    """Names of the files below a folder, with forward slashes, without `export.json`."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != EXPORT_FILE)


def read_exports(home: Path, run_id: str) -> dict[str, dict[str, Any]]:
    """By format, what `export.json` says of the exports of a run that lie in the home, with their `folder`."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((exports_dir(home) / run_id).glob(f"*/{EXPORT_FILE}")):
        try:
            about = read_json(path)
        except (OSError, ValueError):  # half deleted by somebody; it can be made again
            continue
        if isinstance(about, dict) and about.get("format") == path.parent.name:
            found[path.parent.name] = {**about, "folder": str(path.parent)}
    return found
