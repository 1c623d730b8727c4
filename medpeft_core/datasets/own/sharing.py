"""A stored data set as one file, NAME.medpeft.zip, for another home: written here, read by `opening.py`. Light.

data.json          what is known of the set, and the size and SHA-256 of the other files
manifest.parquet   its table, patients under pseudonyms, without dates
images/...         the images, where they were asked for
"""

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medpeft_core.datasets.image_files import DICOM_ENDINGS
from medpeft_core.datasets.manifest import FIXED_COLUMNS, OPTIONAL_COLUMNS, Manifest
from medpeft_core.datasets.own.dicom_files import read_attribute, run_threads
from medpeft_core.datasets.own.opened_values import check_table, is_image_name, read_about
from medpeft_core.datasets.own.stored_sets import MANIFEST_FILE, About, load_about, own_dir, read_stored, restore_types
from medpeft_core.datasets.own.zip_entries import find_clash, list_entries, open_zip
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.errors import DataError
from medpeft_core.paths import write_atomically

ENDING = ".medpeft.zip"
DATA_FILE, IMAGES = "data.json", "images/"
FORMAT, FORMAT_VERSION = "medpeft-data", 1
MAX_HEAD_BYTES = 64 << 20  # of data.json
LEFT_OUT_COLUMNS = ("date",)  # of studies: they help to find a person
_PLACES = ("root", "options")  # folders of this computer, and columns that nobody needs any more
_REMEDY = "No lab could open that, so nothing was written. Rename or mend it, remove the set and add it again."
_DEFLATED = (".bmp", ".tif", ".tiff", ".dcm", ".dicom", "")


def share_data(
    name: str, path: Path | str, *, with_images: bool = False, progress: Progress = ignore_progress
) -> dict[str, Any]:
    """Write a stored set into one file.

    Args:
        name: of the set.
        path: the file to write, or a folder for it; it gets the ending .medpeft.zip.
        with_images: also the images. DICOM files are only written where all of them state that the patient's identity
            was removed.
        progress: told of images; may raise to stop, then no file is left.

    Returns:
        `path`, `num_bytes`, `fingerprint`, `num_images` (files in it) and `notes`: what whoever shares it must know.

    Raises:
        DataError: no such set, images that are missing or hold patients' data, names or values that no other lab would
            open, or a folder that cannot be written.
    """
    about = load_about(name)
    goal = _find_goal(Path(path), name)
    images = _find_images(read_stored(about, None), progress) if with_images else []
    content = _read_table(about, goal)
    _check_names(goal, [name for name, _ in images])
    notes = [
        "The file names of the images are in it, and its notes may name files that were left out: make sure that none "
        "holds a name or an id of a patient.",
        "Patients have pseudonyms; dates are left out.",
    ]
    write_atomically(goal, lambda temporary: _write(temporary, about, content, images, progress))
    return {
        "path": str(goal), "num_bytes": goal.stat().st_size, "fingerprint": about.fingerprint,
        "num_images": len(images), "notes": notes,
    }  # fmt: skip


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_goal(path: Path, name: str) -> Path:
    goal = path / f"{name}{ENDING}" if path.is_dir() else path
    if not goal.name.endswith(ENDING):
        goal = goal.with_name(goal.name.removesuffix(".zip") + ENDING)
    if not goal.parent.is_dir():
        raise DataError(f"The folder {goal.parent} does not exist. Make it first.")
    return goal


def _read_table(about: About, goal: Path) -> bytes:
    """The manifest without what is not shared, as Parquet.

    Raises:
        DataError: a value of it would be refused where the file is opened.
    """
    table = restore_types(pq.read_table(own_dir() / about.name / MANIFEST_FILE).to_pandas())
    columns = [
        *FIXED_COLUMNS,
        *(name for name in OPTIONAL_COLUMNS if name in table and name not in LEFT_OUT_COLUMNS),
        *about.labels,
    ]
    read_about(goal, about.to_dict(), remedy=_REMEDY)
    check_table(goal, table[columns], remedy=_REMEDY)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table[columns], preserve_index=False), sink)
    return bytes(sink.getvalue())


def _find_images(manifest: Manifest, progress: Progress) -> list[tuple[str, Path]]:
    """(path below the root, file) of all images and masks."""
    names = list(dict.fromkeys(manifest.table["image"]))
    if "mask" in manifest.table:
        known = set(names)
        names += [name for name in dict.fromkeys(manifest.table["mask"].dropna()) if name not in known]
    files = [(name, manifest.image_root / name) for name in names]
    missing = [name for name, file in files if not file.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} images are missing in {manifest.image_root}, for example {missing[0]}. "
            "Share "
            "the set without images, or bring them back."
        )
    dicoms = tuple(name for name, file in files if file.suffix.lower() in DICOM_ENDINGS or _has_mark(file))
    removed = run_threads(
        lambda name: _is_identity_removed(manifest.image_root / name), dicoms, what="reading DICOM headers",
        progress=progress,
    )  # fmt: skip
    named = [name for name, is_removed in zip(dicoms, removed, strict=True) if not is_removed]
    if named:
        raise DataError(
            f"{len(named)} of {len(dicoms)} DICOM files do not state that the patient's identity was removed "
            f"(PatientIdentityRemoved), for example {named[0]}. Share the set without images, or pseudonymise the "
            "files."
        )
    return files


def _check_names(goal: Path, names: list[str]) -> None:
    """Refuse files that nobody could unpack.

    Raises:
        DataError: names the first.
    """
    odd = next((name for name in names if not is_image_name(name)), None)
    clash = (odd, "its ending is none of an image") if odd else find_clash(names)
    if clash is not None:
        raise DataError(f"{goal.name} cannot hold {clash[0]!r}: {clash[1]}. {_REMEDY}")


def _has_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _is_identity_removed(path: Path) -> bool:
    return read_attribute(path, "PatientIdentityRemoved").upper() == "YES"


def _write(path: Path, about: About, content: bytes, images: list[tuple[str, Path]], progress: Progress) -> None:
    facts = {name: value for name, value in replace(about, origin="shared").to_dict().items() if name not in _PLACES}
    files: dict[str, dict[str, Any]] = {
        MANIFEST_FILE: {"num_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST_FILE), content)
        for done, (name, file) in enumerate(images):
            progress("packing images", done, len(images))
            files[IMAGES + name] = {"num_bytes": file.stat().st_size, "sha256": hash_file(file)}
            info = zipfile.ZipInfo(IMAGES + name)
            info.compress_type = zipfile.ZIP_DEFLATED if file.suffix.lower() in _DEFLATED else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as target, file.open("rb") as source:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "about": facts, "files": files}
        text = json.dumps(head, allow_nan=False)
        if len(text) > MAX_HEAD_BYTES:
            raise DataError(f"{len(images):,} images are too many for one file. Share the set without images.")
        archive.writestr(DATA_FILE, text, compress_type=zipfile.ZIP_DEFLATED)
    try:
        with open_zip(path) as archive:
            list_entries(path, archive)
    except DataError as error:
        raise DataError(f"The file would not open in another lab ({error}) Share the set without images.") from error
