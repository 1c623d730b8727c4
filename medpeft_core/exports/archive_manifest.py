"""The manifest of an archive: read, and held against the entries that are there. Light."""

import json
import re
from dataclasses import dataclass
from typing import Any
from zipfile import ZipFile, ZipInfo

from medpeft_core.errors import ExportError
from medpeft_core.exports.archive import PackedFile
from medpeft_core.exports.archive_entries import read_entry
from medpeft_core.exports.archive_files import BASE_FILE, FORMAT_VERSION, MANIFEST_FILE
from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.run_ids import is_run_id

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """What an archive says it holds; every file of it is there, with the size that is said."""

    run_id: str
    files: tuple[PackedFile, ...]


def read_manifest(archive: ZipFile, entries: dict[str, ZipInfo]) -> Manifest:
    """The manifest of an archive whose entries were checked.

    Raises:
        ExportError: of a newer lab, or it does not fit the entries.
    """
    values = _parse(b"".join(read_entry(archive, entries[MANIFEST_FILE])))
    version, run_id = values.get("format_version"), values.get("run_id")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _refuse(f"its format_version is {version!r}")
    if version > FORMAT_VERSION:
        raise ExportError(
            f"The archive has the format {version}, and this lab reads up to {FORMAT_VERSION}. It comes from a newer "
            f"MedPEFT Lab ({str(values.get('lab_version'))[:20]}): update this one."
        )
    if not isinstance(run_id, str) or not is_run_id(run_id):
        raise _refuse(f"its run_id {str(run_id)[:80]!r} is not the name of a run")
    if values.get("kind") != ("pretraining" if is_pretraining_id(run_id) else "run"):
        raise _refuse(f"its kind {str(values.get('kind'))[:20]!r} does not fit the name {run_id}")
    files = values.get("files")
    if not isinstance(files, list):
        raise _refuse("it has no list of files")
    return Manifest(run_id, tuple(_check_files(files, entries)))


def _parse(content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refuse(f"it is no JSON ({error})") from error
    if not isinstance(values, dict):
        raise _refuse("it is no JSON object")
    return values


def _check_files(files: list[Any], entries: dict[str, ZipInfo]) -> list[PackedFile]:
    found: dict[str, PackedFile] = {}
    for item in files:
        name, num_bytes, sha256 = (
            (item.get(key) for key in ("name", "num_bytes", "sha256")) if isinstance(item, dict) else (None,) * 3
        )
        if not isinstance(name, str) or name not in entries or name == MANIFEST_FILE or name in found:
            raise _refuse(f"it names {str(name)[:80]!r}, which is not in the archive or is named twice")
        if num_bytes != entries[name].file_size:
            raise _refuse(f"it gives {name!r} another size than the archive")
        if not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
            raise _refuse(f"it gives no SHA-256 of {name!r}")
        match = BASE_FILE.fullmatch(name)
        if match is not None and match["sha256"] != sha256:
            raise _refuse(f"the name of {name!r} is not its SHA-256")
        found[name] = PackedFile(name, num_bytes, sha256)
    for name in entries:
        if name not in found and name != MANIFEST_FILE:
            raise _refuse(f"it does not name {name!r}, which is in the archive")
    if sum(BASE_FILE.fullmatch(name) is not None for name in found) > 1:
        raise _refuse("it names several base weights, and a run has one")
    return list(found.values())


def _refuse(reason: str) -> ExportError:
    return ExportError(f"The {MANIFEST_FILE} of the archive is refused: {reason}. Nothing was imported.")
