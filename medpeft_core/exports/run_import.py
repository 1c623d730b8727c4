"""Brings the archive of a run into a home: every claim checked, every hash compared, there whole or not at all. Light.

The archive may come from anybody. Its files are unpacked into a hidden folder of the home and looked at there; then the
base weights are moved to their place, and the run to its own as the last step.
"""

import dataclasses
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from filelock import FileLock, Timeout

from medpeft_core.errors import ExportError
from medpeft_core.exports.archive import PSEUDONYM_NOTE, PackedFile, find_base_sha256
from medpeft_core.exports.archive_entries import check_entries, open_archive, read_entry
from medpeft_core.exports.archive_files import CHANGING_FILES, MANIFEST_FILE, RUN_PREFIX, WEIGHTS_PREFIX
from medpeft_core.exports.archive_manifest import Manifest, read_manifest
from medpeft_core.exports.imported_run import check_content
from medpeft_core.paths import ensure_dir, rename, sync_files
from medpeft_core.runs.disk import is_disk_full
from medpeft_core.runs.kinds import folder_of
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import INTERRUPTED

Progress = Callable[[str, int, int], None]

DRAFT_PREFIX = ".import-"
LOCK_FILE = ".import.lock"
SPARE_BYTES = 256 << 20  # of the disk, that an import leaves free
LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run that is in the home.

    Attributes:
        run_id: its name, the same as in the home that it came from.
        is_new: false when the same run was there before.
        num_files, num_bytes: of the archive, unpacked.
        notes: sentences to read.
    """

    run_id: str
    is_new: bool
    num_files: int
    num_bytes: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def import_run(path: Path, *, home: Path, progress: Progress = lambda what, done, total: None) -> Imported:
    """Bring an archive that `exports.archive` wrote into a home.

    Args:
        path: the zip file.
        home: of the lab.
        progress: told what is done, in bytes; may raise to stop, and then nothing is left.

    Raises:
        ExportError: the archive is damaged, or holds or claims what no archive of a run does (names the entry); another
            run of that name is there; another import is at work; or the disk has no room.
    """
    path = path.expanduser().resolve()
    progress("reading the table of the archive", 0, 0)
    with open_archive(path) as archive:
        entries = check_entries(archive, path.stat().st_size)
        manifest = read_manifest(archive, entries)
        ensure_dir(home)
        try:
            with FileLock(home / LOCK_FILE, timeout=LOCK_TIMEOUT_S):
                return _bring_in(archive, entries, manifest, home=home, source=path.name, progress=progress)
        except Timeout as error:
            raise ExportError("Another import into this home is at work. Wait until it ends.") from error


def _bring_in(
    archive: ZipFile, entries: dict[str, ZipInfo], manifest: Manifest, *, home: Path, source: str, progress: Progress
) -> Imported:
    for left_over in home.glob(f"{DRAFT_PREFIX}*"):  # of an import that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    target = folder_of(home, manifest.run_id)
    is_new = not target.exists()
    if not is_new:
        _check_same(target, manifest)
    _check_room(home, manifest)
    draft = Path(tempfile.mkdtemp(dir=home, prefix=DRAFT_PREFIX))
    try:
        for name in entries:
            if name != MANIFEST_FILE:
                ensure_dir((draft / name).parent)
        _unpack(archive, entries, manifest, draft, progress)
        progress("checking what was unpacked", 0, 0)
        run = Run(folder_of(draft, manifest.run_id))
        ensure_dir(run.folder.parent)
        rename(draft / RUN_PREFIX, run.folder)
        base = next((item for item in manifest.files if item.name.startswith(WEIGHTS_PREFIX)), None)
        check_content(run, base.sha256 if base is not None else None)
        notes = _settle(run, source) if is_new else [f"The run {run.run_id} was here already, with the same content."]
        notes += _note_base(run, home, base)
        sync_files(draft)
        progress("putting it in its place", 0, 0)
        if base is not None:
            _place_base(draft, home, base)
        if is_new:
            ensure_dir(target.parent)
            rename(run.folder, target)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise ExportError(f"The disk is full: {error}. Free some space below {home}. Nothing was imported.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    num_bytes = sum(item.num_bytes for item in manifest.files)
    return Imported(
        run_id=manifest.run_id, is_new=is_new, num_files=len(manifest.files), num_bytes=num_bytes, notes=tuple(notes)
    )


def _check_same(folder: Path, manifest: Manifest) -> None:
    """Refuse an archive of another run than the one that has its name here."""
    wanted = {item.name.removeprefix(RUN_PREFIX): item for item in manifest.files if item.name.startswith(RUN_PREFIX)}
    for name, item in wanted.items():
        if name not in CHANGING_FILES and _hash(folder / name) != item.sha256:
            raise ExportError(
                f"The run {manifest.run_id} is here already, and its {name} is another one than the archive's. Nothing "
                f"was changed. Delete the run here first, if you want the archive's: python -m medpeft_core delete "
                f"{manifest.run_id}"
            )


def _check_room(home: Path, manifest: Manifest) -> None:
    needed = sum(item.num_bytes for item in manifest.files)
    free = shutil.disk_usage(home).free
    if needed + SPARE_BYTES > free:
        raise ExportError(
            f"The archive claims {needed:,} bytes unpacked, but only {free:,} are free on the disk of {home}, of which "
            f"{SPARE_BYTES:,} are kept. Free some space. Nothing was imported."
        )


def _unpack(archive: ZipFile, entries: dict[str, ZipInfo], manifest: Manifest, draft: Path, progress: Progress) -> None:
    total, done = sum(item.num_bytes for item in manifest.files), 0
    for item in manifest.files:
        digest = hashlib.sha256()
        with (draft / item.name).open("xb") as file:
            for chunk in read_entry(archive, entries[item.name]):
                progress(f"unpacking {item.name}", done, total)
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
        if digest.hexdigest() != item.sha256:
            raise ExportError(
                f"The entry {item.name!r} of the archive is refused: its SHA-256 is not what the manifest says, so it "
                "was changed or damaged. Nothing was imported."
            )


def _settle(run: Run, source: str) -> list[str]:
    """Write that no process works on the run here, and where it came from."""
    state, meta = run.state(), run.meta()
    notes = [PSEUDONYM_NOTE] if run.predictions_dir.is_dir() else []
    changes: dict[str, Any] = {"pid": None, "pid_started": None, "eta_s": None}
    if not state.is_finished:
        error = f"It was {state.status} in the lab that it was exported from."
        changes |= {"status": INTERRUPTED, "error": error}
        notes.append(f"{error} Here it is interrupted.")
    if not run.checkpoint_dir.is_dir() and state.status != "finished":
        notes.append("The archive has no checkpoint, so the run cannot be resumed here.")
    run.write_state(**{**dataclasses.asdict(state), **changes})
    run.save_meta({**meta, "imported_at": time.time(), "imported_from": source})
    return notes


def _note_base(run: Run, home: Path, base: PackedFile | None) -> list[str]:
    sha256 = find_base_sha256(run.any_config())
    if base is not None or sha256 is None or (home / WEIGHTS_PREFIX / f"{sha256}.safetensors").is_file():
        return []
    return [
        f"The base weights {sha256}.safetensors are neither in the archive nor in this home. Until the file lies in "
        f"{home / 'weights'}, the run can be compared, but not predict or explain."
    ]


def _place_base(draft: Path, home: Path, base: PackedFile) -> None:
    path = home / base.name
    if _hash(path) == base.sha256:
        path.touch()  # it counts as used now, so that the clean-up of the home leaves it alone
        return
    ensure_dir(path.parent)
    rename(draft / base.name, path)


def _hash(path: Path) -> str:
    """SHA-256 of a file; "" when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
