"""Writes a run in one of the formats: checked first, whole or not at all, with a hash of each file. Heavy."""

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medpeft_core.errors import ExportError
from medpeft_core.exports import EXPORTS, ExportOptions
from medpeft_core.exports.context import ExportContext
from medpeft_core.exports.files import EXPORT_FILE, exports_dir, list_files
from medpeft_core.exports.model_card import CARD_FILE, build_card
from medpeft_core.exports.spec import ExportSpec, RunContext
from medpeft_core.methods import METHODS
from medpeft_core.paths import ensure_dir, rename, sync_files, write_json
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.provenance import find_versions

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One file of an export: name in its folder, bytes, SHA-256."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An export that lies in its folder.

    Attributes:
        run_id, format: of what, and how.
        folder: where.
        files: all of them but `export.json`, which tells the same.
        max_difference: as in `Outcome`.
        notes: sentences that the receiver should read.
        seconds: that it took.
    """

    run_id: str
    format: str
    folder: str
    files: tuple[ExportedFile, ...]
    max_difference: float | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def num_bytes(self) -> int:
        """Of all files together."""
        return sum(item.num_bytes for item in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "num_bytes": self.num_bytes}


def export_to_home(
    *, home: Path, run_id: str, format: str, progress: Progress, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write an export below `<home>/exports`, in the place of an earlier one; what `Exported.to_dict` gives.

    Raises:
        MedPeftError: as `export_run`.
    """
    run = RunStore(home).load(run_id)
    folder = exports_dir(home) / run.run_id / EXPORTS[format].name
    exported = export_run(
        run, format, folder, options=ExportOptions(**options or {}), progress=progress, may_replace=True
    )
    return exported.to_dict()


def export_run(
    run: Run,
    format: str,
    folder: Path,
    *,
    options: ExportOptions | None = None,
    progress: Progress = lambda what, done, total: None,
    may_replace: bool = False,
) -> Exported:
    """Write a run in one format into a folder, which is there whole or not at all.

    Args:
        run: with trained weights; for the format "archive" any run that no process works on.
        format: name in `EXPORTS`.
        folder: is made; must be missing or empty unless `may_replace`.
        options: what goes along.
        progress: told what is done; may raise to stop, and then nothing is left.

    Raises:
        ExportError: the method does not fit the format, the folder is in use, or what was written does not give the
            run's outputs.
        MedPeftError: the run is damaged, or its weights are.
    """
    spec, started = EXPORTS[format], time.monotonic()
    folder = folder.expanduser().resolve()
    _check_target(folder, may_replace)
    context = _open(run, spec, progress)
    if isinstance(context, ExportContext):
        spec.check_fit(METHODS[context.config.method.name])
    ensure_dir(folder.parent)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        outcome = spec.write(context, draft, options or ExportOptions())
        if isinstance(context, ExportContext) and not (draft / CARD_FILE).exists():
            card = build_card(context, format=spec.name, files=list_files(draft))
            (draft / CARD_FILE).write_text(card, encoding="utf-8")
        progress("hashing the files", 0, 0)
        files = tuple(
            ExportedFile(name=name, num_bytes=(draft / name).stat().st_size, sha256=_hash(draft / name))
            for name in list_files(draft)
        )
        exported = Exported(
            run_id=run.run_id,
            format=spec.name,
            folder=str(folder),
            files=files,
            max_difference=outcome.max_difference,
            notes=outcome.notes,
            seconds=round(time.monotonic() - started, 2),
        )
        about = {name: value for name, value in exported.to_dict().items() if name != "folder"}
        write_json(draft / EXPORT_FILE, {**about, "created_at": time.time(), "packages": find_versions()})
        sync_files(draft)
        draft.chmod(0o755)  # mkdtemp makes 0700
        progress("putting it in its place", 0, 0)
        _put(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return exported


def _open(run: Run, spec: ExportSpec, progress: Progress) -> RunContext:
    def tell(what: str) -> None:
        progress(what, 0, 0)

    if spec.takes_any_run:
        return RunContext(
            run=run, provenance=run.provenance(), metrics=run.metrics() or {}, tell=tell, progress=progress
        )
    config, provenance = run.config(), run.provenance()
    labels = tuple(provenance.get("labels", ()))
    if not labels:
        raise ExportError(
            f"The run {run.run_id} does not say which labels it has: its provenance.json is incomplete. Train it again."
        )
    return ExportContext(
        run=run,
        config=config,
        labels=labels,
        task=str(provenance.get("task", "multilabel")),
        provenance=provenance,
        metrics=run.metrics() or {},
        tell=tell,
        progress=progress,
    )


def _check_target(folder: Path, may_replace: bool) -> None:
    if folder.is_file():
        raise ExportError(f"{folder} is a file. Give a folder that is new or empty.")
    is_used = folder.is_dir() and any(folder.iterdir())
    if is_used and not (may_replace and (folder / EXPORT_FILE).is_file()):
        raise ExportError(f"The folder {folder} is not empty. Give one that is new or empty, so that nothing is lost.")


def _put(draft: Path, folder: Path) -> None:
    """Put the draft in the place of the folder. Windows replaces no folder, not even an empty one."""
    if not folder.is_dir():
        rename(draft, folder)
        return
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    os.utime(folder)  # the clean-up of the home leaves hidden folders alone while they are young
    rename(folder, old)
    try:
        rename(draft, folder)
    except BaseException:
        rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
