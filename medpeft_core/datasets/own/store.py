"""Adding a data set of one's own to the lab, and removing it. Light."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from medpeft_core.config import DataConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.opened_values import MAX_NOTE, MAX_NOTES, MAX_TITLE
from medpeft_core.datasets.own.propose import FORM_OPTIONS
from medpeft_core.datasets.own.stored_sets import (
    MAX_NAME,
    NAME_PATTERN,
    About,
    count_manifest,
    find_fingerprint,
    load_about,
    own_dir,
    write_set,
)
from medpeft_core.datasets.own.zip_entries import is_control
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.split_policy import apply_split
from medpeft_core.datasets.view_build import with_pseudonyms
from medpeft_core.errors import DataError
from medpeft_core.paths import cache_dir, datasets_dir, ensure_dir, get_home, rename, sync_files
from medpeft_core.sections import build_part

HALF_PREFIX = ".half-"
HALF_KEPT_S = 24 * 3600.0


def add_data(
    *,
    name: str,
    title: str = "",
    form: str,
    options: dict[str, Any] | None = None,
    root: str | None = None,
    upload: str | None = None,
    data: dict[str, Any] | None = None,
    progress: Progress = ignore_progress,
) -> dict[str, Any]:
    """Read somebody's own images and store them as a data set of this home; patients are kept under pseudonyms.

    Either everything is stored or nothing. The images themselves stay where they are, except those of an upload, which
    move to `<home>/datasets/uploads/<name>`.

    Args:
        name: of the set, lower_snake_case, free.
        title: for people; "": made of the name.
        form: reader: "folder", "table" or "dicom".
        options: of the reader.
        root: folder of the images.
        upload: folder below `<home>/cache/uploads` that holds what was uploaded; it is taken over. `root` may name a
            folder in it, and is the upload itself by default.
        data: fields of a `DataConfig` that decide the split: `split_seed`, `split` and so on.
        progress: may raise to stop; then nothing is stored.

    Returns:
        `data` (the section of a config that names the set: {"dataset": name}) and what `About.to_dict` gives.

    Raises:
        DataError: the name is taken or no name, or the images cannot be read; says what to do.
    """
    check_new_name(name)
    if form not in FORM_OPTIONS:
        raise DataError(f"There is no form {form!r} of own data. Choose: {', '.join(FORM_OPTIONS)}.")
    place, taken = _find_place(root, upload)
    section = build_part(DataConfig, {**(data or {}), "dataset": form, "root": str(place)}, section="data")
    reader = DATASETS[form]
    read_options = build_part(reader.options, options or {}, section="data")
    manifest = reader.read_manifest(place, read_options, split_seed=section.split_seed, progress=progress)
    if section.split != "given":
        manifest = apply_split(manifest, section)
    manifest = with_pseudonyms(manifest)
    goal = place
    if taken is not None:
        goal = datasets_dir() / "uploads" / name / place.relative_to(taken)
    about = describe(manifest, name=name, title=title, root=goal, form=form, options=dict(options or {}))
    progress("storing", 0, 0)
    store(manifest, about, move=(taken, datasets_dir() / "uploads" / name) if taken else None)
    return {"data": {"dataset": name}, **about.to_dict()}


def remove_data(name: str) -> dict[str, Any]:
    """Remove a stored set, and its images where they were uploaded; images elsewhere stay.

    Returns:
        `name`, and `removed_images`: whether uploaded images were removed with it.

    Raises:
        DataError: there is no such set.
    """
    about = load_about(name)
    gone = Path(tempfile.mkdtemp(dir=own_dir(), prefix=HALF_PREFIX))
    rename(own_dir() / name, gone / name)
    uploads = datasets_dir() / "uploads" / name
    is_uploaded = about.folder is not None and about.folder.is_relative_to(uploads) and uploads.is_dir()
    shutil.rmtree(gone, ignore_errors=True)
    if is_uploaded:
        shutil.rmtree(uploads, ignore_errors=True)
    return {"name": name, "removed_images": is_uploaded}


def check_new_name(name: str) -> None:
    """Refuse a name that is none, or taken.

    Raises:
        DataError: says what a name looks like.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise DataError(
            f"{name!r} is no name for a data set: small letters, digits and _ are allowed, a letter first, at most "
            f"{MAX_NAME} in all, such as my_films."
        )
    if name in DATASETS:
        raise DataError(f"There is a data set {name!r} already. Choose another name, or remove that one first.")
    if (own_dir() / name).exists():
        raise DataError(
            f"{own_dir() / name} is there already, but damaged. Remove that folder, or choose another name."
        )


def suggest_name(text: str) -> str:
    """A free name that looks like the text, such as a folder's name."""
    kept = "".join(character if character.isascii() and character.isalnum() else "_" for character in text.lower())
    base = "_".join(part for part in kept.split("_") if part)[: MAX_NAME - 4].strip("_") or "my_data"
    base = base if base[0].isalpha() else f"data_{base}"[: MAX_NAME - 4]
    name, number = base, 1
    while name in DATASETS or (own_dir() / name).exists():
        number += 1
        name = f"{base}_{number}"
    return name


def describe(
    manifest: Manifest, *, name: str, title: str, root: Path | None, form: str, options: dict[str, Any],
    origin: str = "added",
) -> About:  # fmt: skip
    """All that is to be known about a manifest with pseudonyms."""
    home = get_home()
    place = "" if root is None else root.relative_to(home).as_posix() if root.is_relative_to(home) else str(root)
    shown = _clean(title, MAX_TITLE) or name.replace("_", " ").capitalize()
    return About(
        name=name, title=shown, task=manifest.task, labels=manifest.labels, is_ordered=manifest.is_ordered, root=place,
        form=form, options=options, fingerprint=find_fingerprint(manifest), counts=count_manifest(manifest),
        notes=tuple(_clean(note, MAX_NOTE) for note in manifest.notes[:MAX_NOTES]), made_at=time.time(), origin=origin,
    )  # fmt: skip


def _clean(text: str, length: int) -> str:
    """A text as it may be stored and shared: one line without control characters, cut to a number of characters."""
    kept = "".join(character for character in text if character.isspace() or not is_control(character))
    line = " ".join(kept.split())
    return line if len(line) <= length else line[: length - 3].rstrip() + "..."


def store(manifest: Manifest, about: About, *, move: tuple[Path, Path] | None = None) -> None:
    """Write a set into a folder without a name, move its images where they shall lie, and give it its name last.

    Args:
        manifest: with pseudonyms.
        about: of it.
        move: a folder and where it goes.

    Raises:
        DataError: somebody has taken the name in the meantime.
    """
    sweep_half()
    half = Path(tempfile.mkdtemp(dir=ensure_dir(own_dir()), prefix=HALF_PREFIX))
    moved = False
    try:
        write_set(half, manifest, about)
        half.chmod(0o755)
        sync_files(half)
        if move is not None:
            ensure_dir(move[1].parent)
            if move[1].exists():  # of a set that was killed before it had its name
                shutil.rmtree(move[1])
            rename(*move)
            moved = True
        check_new_name(about.name)
        try:
            rename(half, own_dir() / about.name)
        except OSError:
            check_new_name(about.name)  # somebody was faster
            raise
    except BaseException:
        if moved and move is not None:
            with contextlib.suppress(OSError):
                rename(move[1], move[0])
        raise
    finally:
        shutil.rmtree(half, ignore_errors=True)


def sweep_half() -> None:
    """Remove what processes that were killed left half-done, a day ago or longer."""
    for folder in (own_dir(), datasets_dir() / "uploads"):
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name.startswith(HALF_PREFIX) and time.time() - entry.stat().st_mtime > HALF_KEPT_S:
                    shutil.rmtree(entry.path, ignore_errors=True)


def _find_place(root: str | None, upload: str | None) -> tuple[Path, Path | None]:
    """The folder to read, and the upload to take over."""
    if not root and not upload:
        raise DataError("Give the folder of the images (--root FOLDER), or an upload.")
    taken = Path(upload).resolve() if upload else None
    if taken is not None and not _is_upload(taken):
        raise DataError(f"The upload {taken} is gone. Upload the images again.")
    place = Path(root).expanduser().resolve() if root else taken
    assert place is not None
    if taken is not None and not place.is_relative_to(taken):
        raise DataError(f"{place} is no part of the upload {taken}. Give a folder in it.")
    return place, taken


def _is_upload(folder: Path) -> bool:
    """Whether a folder lies where uploads do; nothing else of the home may be taken over."""
    places = [(parent / "uploads").resolve() for parent in (cache_dir(), datasets_dir())]
    return folder.is_dir() and any(place in folder.parents for place in places)
