"""The whole of a run as one zip: its folder, its base weights, and a manifest with the hash of each file. Light.

<run_id>.zip
  run/...                         the files of the run folder
  weights/<sha256>.safetensors    the base, unless timm can download it
  manifest.json                   format version, lab version, run id, kind, size and SHA-256 of each file

The same run gives the same bytes again.
"""

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import medpeft_core
from medpeft_core.config import RunConfig
from medpeft_core.errors import ExportError
from medpeft_core.exports.archive_files import (
    CHUNK_BYTES,
    FORMAT_VERSION,
    MANIFEST_FILE,
    RUN_FILES,
    RUN_PREFIX,
    WEIGHTS_PREFIX,
    is_compressed_already,
)
from medpeft_core.exports.spec import ExportOptions, Outcome, RunContext
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import PAUSED, QUEUED, RUNNING
from medpeft_core.runs.store import RunStore

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell; real times would make each archive another
_FILE_MODE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_ZIP64_FROM = 1 << 31
_MAX_NAMED = 5

PSEUDONYM_NOTE = (
    "Patients appear under pseudonyms that were made with a secret key of this lab's home. Another home makes others "
    "from the same ids, so patients cannot be matched between homes."
)


class PackedFile(NamedTuple):
    """A file of an archive: name in it, bytes, SHA-256."""

    name: str
    num_bytes: int
    sha256: str


class _Source(NamedTuple):
    name: str  # in the archive
    path: Path
    num_bytes: int


def write(context: RunContext, folder: Path, options: ExportOptions) -> Outcome:
    """Pack a run of either kind that no process works on.

    Raises:
        ExportError: a process works on it, or its base weights are gone or have changed.
        RunError: the run is damaged.
    """
    run = context.run
    config = run.any_config()
    _check_idle(run)
    sources, left_out = _find_sources(run, options)
    base, base_note = _find_base(run, config, options)
    packed = pack([*sources, *base], folder / f"{run.run_id}.zip", context)
    _check_idle(run)  # it may have been resumed while we packed
    if base and packed[-1].sha256 != base[0].path.stem:
        raise ExportError(
            f"The base weights {base[0].path.name} of {run.run_id} have changed since it was trained on them (their "
            "SHA-256 differs). Put the original file back, or export without the base."
        )
    return Outcome(notes=tuple(_list_notes(run, config, [item.name for item in packed], options, base_note, left_out)))


def pack(sources: list[_Source], path: Path, context: RunContext) -> list[PackedFile]:
    """Write the zip, in the order of the sources, and the manifest as its last file."""
    total, done, packed = sum(item.num_bytes for item in sources), 0, []
    with zipfile.ZipFile(path, "x") as archive:
        for source in sources:
            digest, num_bytes = hashlib.sha256(), 0
            info = _describe_entry(source.name)
            with archive.open(info, "w", force_zip64=source.num_bytes >= _ZIP64_FROM) as target:
                for chunk in _read(source.path):
                    context.progress(f"packing {source.name}", done, total)
                    target.write(chunk)
                    digest.update(chunk)
                    num_bytes += len(chunk)
                    done += len(chunk)
            packed.append(PackedFile(source.name, num_bytes, digest.hexdigest()))
        archive.writestr(_describe_entry(MANIFEST_FILE), _write_manifest(context.run, packed))
    context.progress("packing", total, total)
    return packed


def find_base_sha256(config: RunConfig | PretrainConfig) -> str | None:
    """Hash of the base weights that a home must hold for a run; None where timm downloads them or none are needed."""
    if isinstance(config, RunConfig):
        return None if config.backbone.weights == "pretrained" else config.backbone.weights_sha256
    return None if config.encoder.weights == "random" else config.encoder.weights_sha256


def _check_idle(run: Run) -> None:
    store = RunStore(run.home)
    status = store.settle(run).status
    if status in (RUNNING, PAUSED, QUEUED) or store.index.locks_of(run.run_id):
        raise ExportError(
            f"Run {run.run_id} is {status}: a process works on it or will soon, so its files may change while they are "
            "packed. Wait until it ends, or stop it."
        )


def _find_sources(run: Run, options: ExportOptions) -> tuple[list[_Source], list[str]]:
    """What to pack, by name, and the names of what is no file of a run or lies behind a link."""
    sources, left_out = [], []
    for name in sorted(_walk(run.folder, "")):
        path = run.folder / name
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or RUN_FILES.fullmatch(name) is None:
            left_out.append(name)
        elif _is_wanted(name, options):
            sources.append(_Source(RUN_PREFIX + name, path, status.st_size))
    return sources, left_out


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif not entry.name.startswith("."):  # what a crash left half written
                yield prefix + entry.name


def _is_wanted(name: str, options: ExportOptions) -> bool:
    if name.startswith("checkpoints/"):
        return options.include_checkpoint
    return options.include_predictions or not name.startswith("predictions/")


def _find_base(run: Run, config: RunConfig | PretrainConfig, options: ExportOptions) -> tuple[list[_Source], str]:
    sha256 = find_base_sha256(config)
    if sha256 is None:
        is_download = isinstance(config, RunConfig) and config.backbone.weights == "pretrained"
        return [], "The base weights are timm's own; the receiver's lab downloads them." if is_download else ""
    name = f"{sha256}.safetensors"
    if not options.include_base:
        return [], f"The base weights {name} are not in the archive; the receiver's home must hold them."
    path = run.home / "weights" / name
    if not path.is_file():
        raise ExportError(
            f"The base weights {name} of {run.run_id} are missing from {path.parent}. Put the file back, or export "
            "without the base."
        )
    return [_Source(WEIGHTS_PREFIX + name, path, path.stat().st_size)], "The base weights are in the archive."


def _list_notes(
    run: Run,
    config: RunConfig | PretrainConfig,
    names: list[str],
    options: ExportOptions,
    base_note: str,
    left_out: list[str],
) -> Iterator[str]:
    if base_note:
        yield base_note
    if f"{RUN_PREFIX}checkpoints/last/state.safetensors" not in names and run.checkpoint_dir.is_dir():
        yield "The checkpoint is left out: the run can be used and compared elsewhere, but not resumed."
    if not options.include_predictions and run.predictions_dir.is_dir():
        yield "The predictions are left out: the run cannot be compared with others by images elsewhere."
    if any("predictions/" in name for name in names):
        yield PSEUDONYM_NOTE
        yield "The predictions name the images as the data set names them."
    yield (
        "config.json, the log and the events are as they were written here, also where they name folders of this "
        "machine; meta.json holds your notes, tags and the owner's name. Look at them before you give the archive away."
    )
    if config.data.root is not None:
        yield "No image is in the archive; what needs the data set needs it on the other machine, too."
    if left_out:
        more = f" and {len(left_out) - _MAX_NAMED} more" if len(left_out) > _MAX_NAMED else ""
        yield f"Left out, because they are no files of a run or links: {', '.join(left_out[:_MAX_NAMED])}{more}."


def _read(path: Path) -> Iterator[bytes]:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def _describe_entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = _UNIX, _FILE_MODE
    info.compress_type = zipfile.ZIP_STORED if is_compressed_already(name) else zipfile.ZIP_DEFLATED
    return info


def _write_manifest(run: Run, packed: list[PackedFile]) -> str:
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "lab_version": medpeft_core.__version__,
        "run_id": run.run_id,
        "kind": "pretraining" if run.is_pretraining else "run",
        "files": [{"name": item.name, "num_bytes": item.num_bytes, "sha256": item.sha256} for item in packed],
    }
    return json.dumps(manifest, indent=1) + "\n"
