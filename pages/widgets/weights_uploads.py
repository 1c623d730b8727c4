"""Large files that come through the browser: weights and whole runs, kept in the home until their job is over."""

import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.paths import cache_dir, ensure_dir
from medpeft_core.runs.disk import is_disk_full
from pages.widgets.lab import get_lab
from pages.widgets.wording import write_bytes

CHUNK_BYTES = 2**20
KEPT_S = 3600.0  # an upload that no job asked for
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".zip")
_NAME = re.compile(r"[0-9a-f]{16}\.(safetensors|pth|pt|bin|ckpt|zip)")


def draw_uploader(label: str, *, types: list[str], key: str) -> Any:
    """The widget for one file; None until there is one."""
    return st.file_uploader(label, type=types, key=key)


def describe_limit() -> str:
    """How large an upload may be, and what to do with a larger file."""
    limit = int(st.get_option("server.maxUploadSize"))
    return (
        f"Uploads may have up to {limit} MB (`server.maxUploadSize` of this server). Put a larger file on the lab's "
        "computer and give its path."
    )


def keep_upload(upload: Any) -> Path:
    """Write an upload into the home under a name that the lab chooses; its own says nothing but its kind.

    Args:
        upload: what the widget gave.

    Raises:
        RunError: the file is of no kind that the lab takes, or the disk is full.
    """
    suffix = Path(str(upload.name)).suffix.lower()
    if suffix not in SUFFIXES:
        raise RunError(f"The lab takes no {suffix or 'nameless'} files here. Choose: {', '.join(SUFFIXES)}.")
    folder = uploads_dir()
    path = folder / f"{secrets.token_hex(8)}{suffix}"
    try:
        ensure_dir(folder)
        upload.seek(0)
        with path.open("wb") as file:
            while chunk := upload.read(CHUNK_BYTES):
                file.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        if is_disk_full(error):
            raise RunError(
                f"The disk is full: {write_bytes(upload.size)} could not be kept in {folder}. Free some space."
            ) from error
        raise
    return path


def uploads_dir() -> Path:
    """Where uploads wait for their job."""
    return cache_dir() / "uploads"


def sweep_uploads() -> None:
    """Remove the uploads whose job is over, and those that none asked for within an hour."""
    try:
        names = [entry.name for entry in os.scandir(uploads_dir()) if _NAME.fullmatch(entry.name)]
    except OSError:
        return
    if not names:
        return
    states = _find_states()
    for name in names:
        path = uploads_dir() / name
        is_over = states.get(str(path))
        try:
            if is_over or (is_over is None and time.time() - path.stat().st_mtime > KEPT_S):
                path.unlink(missing_ok=True)
        except OSError:  # still open on Windows; the next look removes it
            continue


def _find_states() -> dict[str, bool]:
    """Path that a job was given -> whether all its jobs are over."""
    found: dict[str, bool] = {}
    for job in get_lab().jobs.list_jobs():
        try:
            options = job.request().options or {}
        except MedPeftError:
            continue
        path = options.get("path") or options.get("source")
        if path:
            found[path] = found.get(path, True) and job.is_finished
    return found
