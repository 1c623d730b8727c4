"""Puts weights on the shelf: from a file or the hub, converted once to timm's names, whole or not at all. Heavy."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from medpeft_core.backbones.bare_models import check_name
from medpeft_core.backbones.hub import HUB_PREFIX, HubFile, describe_hub_file, parse_hub_source
from medpeft_core.backbones.hub_download import download_hub_file
from medpeft_core.backbones.key_report import KeyReport
from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.layouts.checking import convert_weights
from medpeft_core.backbones.normalisations import NORMALISATIONS
from medpeft_core.backbones.shelf import ShelfEntry, hash_file, list_shelf, lock_shelf, shelf_dir, shelf_file
from medpeft_core.errors import BackboneError
from medpeft_core.paths import ensure_dir, rename, write_json

Progress = Callable[[str, int, int], None]

FETCHED_FOLDER = "fetched"  # below <home>/weights: downloads until they are on the shelf
SPARE_BYTES = 64 * 2**20
MAX_NAME = 64
MIB = 2**20
FIRST_FREE = 2


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is to stand in the entry beside its content."""

    backbone: str
    layout: str
    name: str
    licence: str
    reference: str
    normalisation: str
    known: str

    @property
    def constants(self) -> tuple[Any, Any]:
        """Mean and standard deviation that were chosen; None twice for the backbone's own."""
        if not self.normalisation:
            return None, None
        chosen = NORMALISATIONS[self.normalisation]
        return chosen.mean, chosen.std


@dataclass(frozen=True, kw_only=True)
class _Original:
    """The file as others made it: on this computer, or still on the hub."""

    label: str  # for the entry
    file_name: str
    num_bytes: int
    sha256: str  # "" until it was read
    licence: str = ""
    path: Path | None = None
    hub_file: HubFile | None = None


def add_weights(
    *,
    home: Path,
    progress: Progress = lambda what, done, total: None,
    source: str = "",
    backbone: str = "",
    known: str = "",
    layout: str = "auto",
    name: str = "",
    licence: str = "",
    reference: str = "",
    normalisation: str = "",
    hub_file: str = "",
    revision: str = "",
    file_name: str = "",
) -> dict[str, Any]:
    """Put a file of weights on the shelf of a home.

    Args:
        home: the lab's folder.
        progress: told what is done; may raise to stop, and then nothing is on the shelf.
        source: path of a file, or "hf:OWNER/NAME[/FILE][@REVISION]"; "" for the place of `known` on the hub.
        backbone: timm name of the model; "" for that of `known`.
        known: name in `KNOWN_WEIGHTS`, which fills whatever is not given here.
        layout: name of the layout of the file, or "auto".
        name: for the entry; "" for one after `known` or after the file.
        licence, reference: "" for what `known` or the hub states.
        normalisation: name in `NORMALISATIONS`; "" for that of `known`, else the backbone's own constants.
        hub_file, revision: of a source on the hub, where the source itself does not say.
        file_name: what the file was called where it came from, when `source` is only where an upload lies.

    Returns:
        `ShelfEntry.to_dict()`, with `was_there` (the same weights were on the shelf already, and nothing was added) and
        `report` (`KeyReport.to_dict()`; None where nothing was read).

    Raises:
        BackboneError: an unknown name, a file that is not of this backbone, a name that is taken, no network, no space.
    """
    wanted = _fill(backbone, known, layout, name, licence, reference, normalisation)
    original = _find_original(source, known, hub_file, revision, file_name)
    if original.path is not None:
        progress("hashing the file", 0, 0)
        original = replace(original, sha256=hash_file(original.path))
    there = _find_same(home, wanted, original.sha256)
    if there is not None:
        return {**there.to_dict(), "was_there": True, "report": None}
    name = wanted.name or wanted.known or suggest_name(original.file_name)
    _check_free(home, name)
    _check_space(home, original)
    if original.path is not None:
        return _add_file(home, original.path, original, wanted, name, progress)
    assert original.hub_file is not None
    fetched = download_hub_file(original.hub_file, home / "weights" / FETCHED_FOLDER, progress)
    added = _add_file(home, fetched, original, wanted, name, progress)
    fetched.unlink(missing_ok=True)  # only now: if the conversion failed, another try need not download it again
    return added


def suggest_name(text: str) -> str:
    """A name for the shelf that looks like the name of a file."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", PurePosixPath(text.replace("\\", "/")).stem.lower()).strip("-._")
    return slug[:MAX_NAME] or "weights"


def _add_file(
    home: Path, path: Path, original: _Original, wanted: _Wanted, name: str, progress: Progress
) -> dict[str, Any]:
    progress("reading the tensors", 0, 0)
    state, report = convert_weights(path, backbone=wanted.backbone, layout=wanted.layout)
    progress("writing them to the shelf", 0, 0)
    draft = _write_draft(home, name, state)
    try:
        mean, std = wanted.constants
        entry = ShelfEntry(
            name=name,
            backbone=wanted.backbone,
            layout=report.layout,
            source=original.label,
            source_sha256=original.sha256 or hash_file(path),
            sha256=hash_file(draft),
            num_bytes=draft.stat().st_size,
            licence=wanted.licence or original.licence,
            reference=wanted.reference,
            mean=mean,
            std=std,
            known_as=wanted.known,
            added_at=time.time(),
            counts=report.counts,
        )
        return _put(home, draft, entry, report, progress)
    finally:
        draft.unlink(missing_ok=True)


def _put(home: Path, draft: Path, entry: ShelfEntry, report: KeyReport, progress: Progress) -> dict[str, Any]:
    """Give the draft its name, unless the same weights are there already; the entry is seen once both files are."""
    with lock_shelf(home):
        progress("writing them to the shelf", 1, 1)  # the last moment to stop
        for other in list_shelf(home):
            if _is_same(other, entry):
                return {**other.to_dict(), "was_there": True, "report": report.to_dict()}
        _check_free(home, entry.name)
        target = shelf_file(home, entry.name)
        rename(draft, target)
        try:
            write_json(target.with_suffix(".json"), entry.to_dict())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return {**entry.to_dict(), "was_there": False, "report": report.to_dict()}


def _write_draft(home: Path, name: str, state: dict[str, torch.Tensor]) -> Path:
    handle, draft_name = tempfile.mkstemp(dir=ensure_dir(shelf_dir(home)), prefix=f".{name}.", suffix=".tmp")
    os.close(handle)
    draft = Path(draft_name)
    try:
        safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)  # mkstemp makes 0600, which a group on a shared server could not read
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, SafetensorError):  # its writer reports the system's errors in a text only
            raise BackboneError(
                f"The weights cannot be written to {draft.parent}: {error}. Free some space."
            ) from error
        raise
    return draft


def _fill(
    backbone: str, known: str, layout: str, name: str, licence: str, reference: str, normalisation: str
) -> _Wanted:
    """What was asked for, the rest from the known weights; every name is checked."""
    if known:
        spec = KNOWN_WEIGHTS[known]
        backbone, normalisation = backbone or spec.backbone, normalisation or spec.normalisation
        layout = spec.layout if layout == "auto" else layout
        licence, reference = licence or spec.licence, reference or spec.reference
    if not backbone:
        raise BackboneError("Say which backbone the weights are of: a timm name such as vit_base_patch16_224.")
    check_name(backbone)
    if normalisation:
        normalisation = NORMALISATIONS[normalisation].name  # an unknown one is refused before anything is read
    return _Wanted(
        backbone=backbone,
        layout=layout,
        name=name,
        licence=licence.strip(),
        reference=reference.strip(),
        normalisation=normalisation,
        known=known,
    )


def _find_original(source: str, known: str, hub_file: str, revision: str, file_name: str) -> _Original:
    """Where the file is; the hub is asked about a file there, and nothing is downloaded."""
    if not source:
        source, hub_file = _place_of(known, hub_file)
    if source.startswith(HUB_PREFIX):
        repo, own_file, own_revision = parse_hub_source(source)
        found = describe_hub_file(repo, own_file or hub_file, own_revision or revision)
        # model.safetensors is the name of most: that of the repository tells more
        return _Original(
            label=found.source,
            file_name=f"{repo.partition('/')[2]}.hub",
            num_bytes=found.num_bytes,
            sha256=found.sha256,
            licence=found.licence,
            hub_file=found,
        )
    path = Path(source).expanduser()
    if path.is_dir():
        raise BackboneError(f"{str(path)!r} is a folder. Give the file of weights in it.")
    if not path.is_file():
        raise BackboneError(
            f"There is no weights file {str(path)!r}. Give the path of a file, or hf:OWNER/NAME for one of the hub."
        )
    label = PurePosixPath(file_name.replace("\\", "/")).name or path.name
    return _Original(label=label, file_name=label, num_bytes=path.stat().st_size, sha256="", path=path)


def _place_of(known: str, hub_file: str) -> tuple[str, str]:
    if not known:
        raise BackboneError("Say which weights: the path of a file, hf:OWNER/NAME, or the name of known weights.")
    spec = KNOWN_WEIGHTS[known]
    if not spec.hub_id:
        raise BackboneError(f"{spec.title} is not on the hub. {spec.get_it} Then give the path of the file.")
    return f"{HUB_PREFIX}{spec.hub_id}", hub_file or spec.hub_file


def _find_same(home: Path, wanted: _Wanted, source_sha256: str) -> ShelfEntry | None:
    """The entry that was made of the same file for the same use; None where there is none, or that is not known yet."""
    for entry in list_shelf(home) if source_sha256 else ():
        is_same_use = (entry.backbone, entry.mean, entry.std) == (wanted.backbone, *wanted.constants)
        if entry.source_sha256 == source_sha256 and is_same_use and wanted.layout in ("auto", entry.layout):
            return entry
    return None


def _is_same(one: ShelfEntry, other: ShelfEntry) -> bool:
    return (one.sha256, one.backbone, one.mean, one.std) == (other.sha256, other.backbone, other.mean, other.std)


def _check_free(home: Path, name: str) -> None:
    """Refuse a name that is taken, or none at all, and propose a free one."""
    path = shelf_file(home, name)
    taken = {entry.name for entry in list_shelf(home)}
    if name not in taken and not path.with_suffix(".json").exists():
        return
    number = FIRST_FREE
    while f"{name[: MAX_NAME - len(str(number)) - 1]}-{number}" in taken:
        number += 1
    free = f"{name[: MAX_NAME - len(str(number)) - 1]}-{number}"
    raise BackboneError(
        f"There are other weights {name!r} on the shelf. Choose another name, such as {free!r}, or remove those first."
    )


def _check_space(home: Path, original: _Original) -> None:
    """Refuse what cannot fit, before anything is written: a download and its conversion are there side by side."""
    copies = 1 if original.hub_file is None else 2
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free, needed = shutil.disk_usage(existing).free, copies * original.num_bytes + SPARE_BYTES
    if free < needed:
        raise BackboneError(
            f"The weights need {needed / MIB:,.0f} MiB below {home}, but the disk has {free / MIB:,.0f} MiB left. "
            "Nothing was written. Free some space, or set MEDPEFT_HOME to a folder on a larger disk."
        )
