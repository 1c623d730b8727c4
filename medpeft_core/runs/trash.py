"""Deleted runs that can still be brought back: whole folders, moved aside, removed for good after a week.

Each lies in `<home>/trash/<run_id>.<unix seconds>`; the number is when it was deleted. Moving is one rename, so a crash
leaves the run either where it was or in the trash.
"""

import contextlib
import errno
import re
import secrets
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from medpeft_core.errors import RunError
from medpeft_core.paths import ensure_dir
from medpeft_core.runs.run import Run
from medpeft_core.runs.run_ids import is_run_id

KEEP_DAYS = 7
DAY_S = 86_400.0
MAX_LISTED = 8  # names in an error
_PATTERN = re.compile(r"(?P<run_id>[^.]+)\.(?P<deleted_at>[0-9]{1,12})")
_GONE_PREFIX, _COPY_PREFIX = ".gone-", ".copy-"


class DeletedRun(NamedTuple):
    """A run in the trash.

    `deleted_at` is in unix seconds; `folder` is where its files are now.
    """

    run_id: str
    deleted_at: float
    folder: Path

    @property
    def kept_until(self) -> float:
        """When it is removed for good, in unix seconds."""
        return self.deleted_at + KEEP_DAYS * DAY_S

    def measure(self) -> int:
        """Bytes on the disk that removing it for good would free."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if not path.is_dir())


class Trash:
    """The deleted runs of one home.

    Args:
        folder: `<home>/trash`; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, run: Run) -> DeletedRun:
        """Move a run that nobody works on into the trash.

        Raises:
            RunError: the system keeps its files open, or it lies on another disk that the trash has no room for.
        """
        deleted_at = int(time.time())
        target = ensure_dir(self.folder) / f"{run.run_id}.{deleted_at}"
        try:
            run.folder.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise RunError(
                    f"Run {run.run_id} cannot be deleted: {error}. Close the programs that use its files."
                ) from error
            self._copy(run, target)
        return DeletedRun(run.run_id, float(deleted_at), target)

    def list_runs(self) -> list[DeletedRun]:
        """What can be brought back, the last deleted first."""
        try:
            folders = sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        found = []
        for folder in folders:
            match = _PATTERN.fullmatch(folder.name)
            if match and is_run_id(match["run_id"]) and folder.is_dir():
                found.append(DeletedRun(match["run_id"], float(match["deleted_at"]), folder))
        return sorted(found, key=lambda item: item.deleted_at, reverse=True)

    def find(self, run_id: str) -> DeletedRun:
        """The last deleted run of that name.

        Raises:
            RunError: it is not in the trash.
        """
        for item in self.list_runs():
            if item.run_id == run_id:
                return item
        raise RunError(
            f"Run {run_id!r} is not in the trash: it was never deleted, or removed for good. Deleted runs are kept "
            f"{KEEP_DAYS} days."
        )

    def search(self, part: str) -> DeletedRun:
        """The deleted run whose name is, begins with, or contains a text; of one that was deleted twice, the last.

        Raises:
            RunError: none fits, or several do; the message names what is in the trash.
        """
        items: dict[str, DeletedRun] = {}
        for item in self.list_runs():
            items.setdefault(item.run_id, item)
        beginning = [name for name in items if part and name.startswith(part)]
        fitting = [part] if part in items else beginning or [name for name in items if part and part in name]
        if len(fitting) == 1:
            return items[fitting[0]]
        if fitting:
            raise RunError(f"{len(fitting)} deleted runs fit {part!r}: {_list_names(fitting)}. Give more of the name.")
        if not items:
            raise RunError(
                f"{part!r} is not in the trash, which is empty: it was never deleted, or removed for good. Runs "
                f"are kept {KEEP_DAYS} days."
            )
        raise RunError(
            f"No deleted run fits {part!r}. In the trash: {_list_names(list(items))}. `python -m medpeft_core runs "
            "--deleted` tells more."
        )

    def give_back(self, item: DeletedRun, target: Path) -> None:
        """Move a run back to where runs lie.

        Raises:
            RunError: another run of that name is there, or its files cannot be moved.
        """
        if target.exists():
            raise RunError(f"Run {item.run_id} cannot be brought back: {target} exists. Move that folder away first.")
        try:
            shutil.move(item.folder, ensure_dir(target.parent) / target.name)
        except OSError as error:
            raise RunError(f"Run {item.run_id} cannot be brought back: {error}.") from error

    def purge(self, run_ids: Collection[str] | None = None) -> list[str]:
        """Remove runs for good.

        Args:
            run_ids: which; None for all.

        Returns:
            The ids of those that were removed.
        """
        return self._remove([item for item in self.list_runs() if run_ids is None or item.run_id in run_ids])

    def purge_expired(self, *, now: float | None = None) -> list[str]:
        """Remove for good what was deleted more than `KEEP_DAYS` days ago, and give the ids."""
        moment = time.time() if now is None else now
        return self._remove([item for item in self.list_runs() if item.kept_until < moment])

    def _copy(self, run: Run, target: Path) -> None:
        """For a `runs` folder on another disk: the run is whole in one of both places at any moment."""
        draft = target.with_name(f"{_COPY_PREFIX}{secrets.token_hex(8)}")
        try:
            shutil.copytree(run.folder, draft)
            draft.rename(target)
            shutil.rmtree(run.folder)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise RunError(f"Run {run.run_id} cannot be moved to the trash: {error}.") from error

    def _remove(self, items: list[DeletedRun]) -> list[str]:
        removed = []
        for item in items:
            with contextlib.suppress(OSError):  # another process was faster, or a program keeps a file open
                item.folder.rename(self.folder / f"{_GONE_PREFIX}{secrets.token_hex(8)}")  # half a run never comes back
                removed.append(item.run_id)
        for folder in self.folder.glob(f"{_GONE_PREFIX}*"):  # also what a crash left
            shutil.rmtree(folder, ignore_errors=True)
        return removed


def _list_names(names: list[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")
