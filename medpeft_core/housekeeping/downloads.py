"""What timm downloaded into a home: repositories in the layout of the Hugging Face cache. Light; reads folders only.

<home>/weights/hub/models--OWNER--NAME/{blobs,refs,snapshots/<commit>}
"""

from dataclasses import dataclass
from pathlib import Path

from medpeft_core.housekeeping.places import list_folders
from medpeft_core.housekeeping.sizes import measure_folder

HUB_FOLDER = "weights/hub"
REPO_PREFIX, SEPARATOR = "models--", "--"


@dataclass(frozen=True, kw_only=True)
class Download:
    """One repository.

    Attributes:
        repo: OWNER/NAME.
        revision: the commit that lies here, the newest of several; "" where only half of a download does.
        num_bytes: on the disk.
        downloaded_at: unix seconds of the last change.
    """

    repo: str
    revision: str
    num_bytes: int
    downloaded_at: float


def list_downloads(home: Path) -> list[Download]:
    """Every repository that was downloaded, the largest first."""
    folders = [folder for folder in list_folders(home, HUB_FOLDER) if folder.name.startswith(REPO_PREFIX)]
    return sorted((_describe(folder) for folder in folders), key=lambda item: item.num_bytes, reverse=True)


def _describe(folder: Path) -> Download:
    snapshots = [item for item in (folder / "snapshots").glob("*") if item.is_dir()]
    newest = max(snapshots, key=_changed_at, default=None)
    return Download(
        repo=folder.name.removeprefix(REPO_PREFIX).replace(SEPARATOR, "/", 1),
        revision=newest.name if newest is not None else "",
        num_bytes=measure_folder(folder).num_bytes,
        downloaded_at=_changed_at(newest or folder),
    )


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
