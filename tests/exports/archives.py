"""Archives of runs for tests: an honest one, and the same with one thing changed."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from stored_runs import make_run

from medpeft_core.errors import ExportError
from medpeft_core.exports.archive import write
from medpeft_core.exports.run_import import DRAFT_PREFIX, import_run
from medpeft_core.exports.spec import ExportOptions, RunContext
from medpeft_core.paths import ensure_dir
from medpeft_core.runs.run import Run

MANIFEST = "manifest.json"
MAX_MEMORY_BYTES = 24 << 20


def make_packable(home: Path, *, base_values: int = 100, **options: Any) -> Run:
    """A stored run whose tensors are real files, with its base weights in the home."""
    run = make_run(home, **options)
    for path in (run.adapter_dir / "adapter.safetensors", run.checkpoint_dir / "state.safetensors"):
        path.write_bytes(save({"head.weight": np.arange(6, dtype=np.float32)}))
    content = save({"blocks": np.arange(base_values, dtype=np.float32)})
    sha256 = hashlib.sha256(content).hexdigest()
    (ensure_dir(home / "weights") / f"{sha256}.safetensors").write_bytes(content)
    config = run.config()
    run.save_config(replace(config, backbone=replace(config.backbone, weights="random", weights_sha256=sha256)))
    return run


def pack_run(run: Run, folder: Path, **options: bool) -> Path:
    """The archive of a run, without torch."""
    context = RunContext(run=run, provenance=run.provenance(), metrics=run.metrics() or {})
    write(context, ensure_dir(folder), ExportOptions(**options))
    return folder / f"{run.run_id}.zip"


def read_all(path: Path) -> dict[str, bytes]:
    """Name to content, the manifest among them."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_all(
    path: Path,
    files: dict[str, bytes],
    /,
    *,
    fix: bool = True,
    lie: Callable[[zipfile.ZipFile], None] | None = None,
    **manifest: Any,
) -> Path:
    """A zip of these files.

    Args:
        path: of the zip.
        files: name to content.
        fix: whether the manifest is made to name all files with their true sizes and hashes.
        lie: called with the zip before its table is written from `filelist`, to claim there what is not so.
        manifest: laid over it.
    """
    values = json.loads(files[MANIFEST])
    if fix:
        values["files"] = [
            {"name": name, "num_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
            if name != MANIFEST
        ]
    values |= manifest
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(values) if name == MANIFEST else content)
        if lie is not None:
            lie(archive)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, without locks and the index."""
    if not folder.exists():
        return {}
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "lab.sqlite" not in path.name]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.suffix != ".lock"}


def zip_of(files: dict[str, bytes]) -> bytes:
    """The bytes of a zip of these files, as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refuse(path: Path, home: Path, match: str) -> None:
    """An import must say why it refuses, stay small in memory, and leave the home as it was."""
    before = snapshot(home)
    tracemalloc.start()
    try:
        with pytest.raises(ExportError, match=match):
            import_run(path, home=home)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_MEMORY_BYTES
    assert snapshot(home) == before
    assert not list(home.glob(f"{DRAFT_PREFIX}*"))
