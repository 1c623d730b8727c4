"""Opening a shared data set: every claim of the file is checked before anything is stored under its name. Light."""

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.parquet as pq

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.opened_values import SharedAbout, check_columns, check_table, is_image_name, read_about
from medpeft_core.datasets.own.sharing import DATA_FILE, ENDING, FORMAT, FORMAT_VERSION, IMAGES, MAX_HEAD_BYTES
from medpeft_core.datasets.own.store import check_new_name, describe, store
from medpeft_core.datasets.own.stored_sets import MANIFEST_FILE, find_fingerprint, list_stored, restore_types
from medpeft_core.datasets.own.zip_entries import check_space, list_entries, open_zip, read_entry
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.errors import DataError
from medpeft_core.paths import datasets_dir, ensure_dir

MAX_TABLE_BYTES = 1 << 30
MAX_TABLE_UNPACKED = 4 << 30
MAX_ROWS = 5_000_000
_REMEDY = "Get the file again from where it was shared."
_SHA256 = re.compile(r"[0-9a-f]{64}")


def open_data(
    path: Path, *, root: str | None = None, name: str | None = None, progress: Progress = ignore_progress
) -> dict[str, Any]:
    """Store a data set that `share_data` wrote somewhere else.

    Args:
        path: the file.
        root: folder of its images on this computer, where the file does not bring them; None: it is asked for when the
            set is used.
        name: to store it under; None: the one that it had.
        progress: told of bytes; may raise to stop, then nothing is stored.

    Returns:
        `data` ({"dataset": name}), what `About.to_dict` gives, and `num_missing`: images that are not in `root`.

    Raises:
        DataError: the file is not what it says, the same set or its name is here already, or `root` holds none of its
            images.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the {ENDING} file that `data share` wrote.")
    with open_zip(path) as archive:
        entries = list_entries(path, archive)
        about, files = _read_head(path, archive, entries)
        wanted = name or about.name
        _check_known(wanted, about)
        check_new_name(wanted)
        place = _find_root(root)
        half = Path(tempfile.mkdtemp(dir=ensure_dir(datasets_dir() / "uploads"), prefix=".half-"))
        try:
            table = _read_table(path, archive, entries[MANIFEST_FILE], files, about, half)
            manifest = Manifest(
                dataset=wanted, task=about.task, labels=about.labels, image_root=place or half / "images", table=table,
                is_ordered=about.is_ordered, notes=about.notes,
            )  # fmt: skip
            manifest.check()
            if find_fingerprint(manifest) != about.fingerprint:
                raise DataError(f"{path.name} does not hold the data that its fingerprint stands for. {_REMEDY}")
            images = {key: info for key, info in entries.items() if key.startswith(IMAGES)}
            move, goal, num_missing = None, place, 0
            if images and place is None:
                _unpack_images(path, archive, images, files, half, manifest, progress)
                goal = datasets_dir() / "uploads" / wanted
                move = (half / "images", goal)
            if place is not None:
                num_missing = _count_missing(manifest, place)
            stored = describe(
                manifest, name=wanted, title=about.title, root=goal, form=about.form, options={}, origin="opened"
            )
            progress("storing", 0, 0)
            store(manifest, stored, move=move)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return {"data": {"dataset": wanted}, **stored.to_dict(), "num_missing": num_missing}


def _read_head(
    path: Path, archive: ZipFile, entries: dict[str, ZipInfo]
) -> tuple[SharedAbout, dict[str, dict[str, Any]]]:
    """What the file says of itself, and the size and SHA-256 of each of its files.

    Raises:
        DataError: something is missing, superfluous, or no such value.
    """
    for needed in (DATA_FILE, MANIFEST_FILE):
        if needed not in entries:
            raise DataError(f"{path.name} lacks {needed}, so it is no shared data set. {_REMEDY}")
    info = entries[DATA_FILE]
    if info.file_size > MAX_HEAD_BYTES:
        raise DataError(
            f"{DATA_FILE} in {path.name} has {info.file_size:,} bytes; {MAX_HEAD_BYTES:,} are read. {_REMEDY}"
        )
    try:
        head = json.loads(b"".join(read_entry(path, archive, info)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{DATA_FILE} in {path.name} is no JSON ({error}). {_REMEDY}") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise DataError(f"{path.name} is no shared data set of this lab. {_REMEDY}")
    version = head.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise DataError(f"{path.name} has format version {version!r}; up to {FORMAT_VERSION} is read. Update the lab.")
    files = head.get("files")
    others = set(entries) - {DATA_FILE}
    if not isinstance(files, dict) or set(files) != others:
        raise DataError(f"{path.name} holds other files than it lists. {_REMEDY}")
    for name, facts in files.items():
        is_fine = (
            isinstance(facts, dict)
            and facts.get("num_bytes") == entries[name].file_size
            and isinstance(facts.get("sha256"), str)
            and _SHA256.fullmatch(facts["sha256"])
        )
        if not is_fine or (name != MANIFEST_FILE and not (name.startswith(IMAGES) and is_image_name(name))):
            raise DataError(f"{name!r} in {path.name} is not what the list says, or no image. {_REMEDY}")
    return read_about(path, head.get("about")), files


def _check_known(wanted: str, about: SharedAbout) -> None:
    """Tell of the same set, or another one of that name."""
    known = list_stored()
    same = next((item for item in known.values() if item.fingerprint == about.fingerprint), None)
    if same is not None:
        raise DataError(f"This very data set is here already, as {same.name!r}: use that, or remove it first.")
    if wanted in known:
        raise DataError(
            f"There is another data set {wanted!r} here: its fingerprint is {known[wanted].fingerprint[:12]}, that of "
            "the "
            f"file {about.fingerprint[:12]}. Open the file under another name (--name)."
        )


def _read_table(
    path: Path, archive: ZipFile, info: ZipInfo, files: dict[str, dict[str, Any]], about: SharedAbout, half: Path
) -> Any:
    """The table of the manifest, every column and value of it checked."""
    if info.file_size > MAX_TABLE_BYTES:
        raise DataError(
            f"The manifest in {path.name} has {info.file_size:,} bytes; {MAX_TABLE_BYTES:,} are read. {_REMEDY}"
        )
    target = half / MANIFEST_FILE
    _write_entry(path, archive, info, target, files[MANIFEST_FILE]["sha256"])
    try:
        with pq.ParquetFile(target) as file:
            facts = file.metadata
            unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
            if facts.num_rows > MAX_ROWS or unpacked > MAX_TABLE_UNPACKED:
                raise DataError(
                    f"The manifest in {path.name} claims {facts.num_rows:,} rows, {unpacked:,} bytes. {_REMEDY}"
                )
            check_columns(path, file.schema_arrow, about.labels)
            table = restore_types(file.read().to_pandas())
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"The manifest in {path.name} is damaged ({error}). {_REMEDY}") from error
    check_table(path, table)
    return table


def _unpack_images(
    path: Path, archive: ZipFile, images: dict[str, ZipInfo], files: dict[str, dict[str, Any]], half: Path,
    manifest: Manifest, progress: Progress,
) -> None:  # fmt: skip
    """All images, each held against its SHA-256; the file must bring those of the manifest and no others."""
    wanted = {IMAGES + name for name in manifest.table["image"]}
    if "mask" in manifest.table:
        wanted |= {IMAGES + name for name in manifest.table["mask"].dropna()}
    if wanted != set(images):
        raise DataError(f"{path.name} does not bring the images that its manifest lists, or others as well. {_REMEDY}")
    total, done = sum(info.file_size for info in images.values()), 0
    check_space(path, half, total)
    for name, info in images.items():
        progress("unpacking images", done, total)
        target = half.joinpath(*name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_entry(path, archive, info, target, files[name]["sha256"])
        done += info.file_size


def _write_entry(path: Path, archive: ZipFile, info: ZipInfo, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for chunk in read_entry(path, archive, info):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != sha256:
        raise DataError(f"{info.orig_filename!r} in {path.name} is damaged: its SHA-256 is another. {_REMEDY}")


def _find_root(root: str | None) -> Path | None:
    if not root:
        return None
    place = Path(root).expanduser().resolve()
    if not place.is_dir():
        raise DataError(f"The folder {place} does not exist. Give the folder that holds the images.")
    return place


def _count_missing(manifest: Manifest, place: Path) -> int:
    num_missing = sum(not path.is_file() for path in manifest.paths())
    if num_missing == len(manifest):
        raise DataError(
            f"None of the {len(manifest)} images is in {place}, for example {manifest.table['image'].iloc[0]}. Give "
            "the "
            "folder that holds them."
        )
    return num_missing
