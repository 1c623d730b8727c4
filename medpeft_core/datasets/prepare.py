"""From the data section of a config to data that can be trained on: manifest, pixel cache, and a report on both."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medpeft_core.config import DataConfig
from medpeft_core.datasets.cache_notes import note_use
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.pixels import PixelCache, build_pixel_cache, find_pixel_cache, pixel_cache_key
from medpeft_core.datasets.prepare_command import build_prepare_command
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.datasets.report import DataReport
from medpeft_core.datasets.report_build import build_report
from medpeft_core.datasets.spec import DATASETS, DatasetSpec
from medpeft_core.datasets.split_policy import apply_split
from medpeft_core.datasets.splits import apply_overlap_policy
from medpeft_core.datasets.view_build import (
    hide_patients,
    inspect_manifest,
    keep_view,
    name_unreadable,
    store_view,
    with_pseudonyms,
)
from medpeft_core.datasets.views import DataView, load_view, read_how, view_key
from medpeft_core.errors import DataError
from medpeft_core.paths import cache_dir
from medpeft_core.sections import build_part

__all__ = [
    "PreparedData", "find_prepared", "find_view", "hide_patients", "inspect_dataset", "prepare_dataset",
    "prepare_datasets",
]  # fmt: skip

_SHOWN_IMAGES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """A data set that is ready for training.

    Attributes:
        manifest: patient ids are pseudonyms of this home; overlap and unreadable images are dealt with as configured.
        cache: the decoded images, of unreadable ones as well.
        cache_rows: (N,) int64, row of the cache that holds the image of each manifest row.
        pixels_sha256: of the decoded pixels of all images, in the order of the manifest.
        fingerprint: of images, patients, splits and targets; taken before the pseudonyms, so it is the same in every
            home.
    """

    spec: DatasetSpec
    manifest: Manifest
    cache: PixelCache
    cache_rows: np.ndarray
    fingerprint: str
    pixels_sha256: str
    report: DataReport


def prepare_dataset(data: DataConfig, *, progress: Progress = ignore_progress) -> PreparedData:
    """Read, check and decode a data set, or take what was decoded before.

    Args:
        data: its `patient_overlap` and `unreadable` decide what happens to such images.
        progress: may raise to stop; what was decoded by then is kept for the next time.

    Raises:
        DataError: the data cannot be used as they are; says which images or patients and what to do.
        ConfigError: the reader does not know one of `data.options`.
        UnknownNameError: there is no data set of that name.
    """
    spec, original = _read(data, progress)
    manifest = apply_overlap_policy(original, data.patient_overlap, seed=data.split_seed)
    cache = _build_cache(manifest, data, progress)
    with contextlib.suppress(OSError):  # a page that must look again is no reason not to train
        keep_view(data, spec, original, cache)
    return _complete(data, spec, manifest, cache)


def prepare_datasets(
    sections: Sequence[DataConfig], *, progress: Progress = ignore_progress, may_decode: bool = True
) -> list[PreparedData]:
    """The data of several configs, each distinct data set prepared once, whatever fraction of it is wanted.

    Args:
        sections: resolved, so that equal ones are equal.
        progress: may raise to stop.
        may_decode: false: refuse what is not drawn or not decoded yet.

    Raises:
        MedPeftError: as `prepare_dataset`; DataError also for data that would have to be decoded but may not.
    """
    prepared: dict[str, PreparedData] = {}
    keys = [_preparation_key(data) for data in sections]
    for key, data in zip(keys, sections, strict=True):
        if key not in prepared:
            prepared[key] = prepare_dataset(data, progress=progress) if may_decode else _demand_prepared(data)
    return [prepared[key] for key in keys]


def find_prepared(data: DataConfig) -> PreparedData | None:
    """What `prepare_dataset` gives, if that takes no drawing and no decoding, else None.

    Raises:
        MedPeftError: as `prepare_dataset`, as far as the folder and the tables tell, also where nothing is decoded.
    """
    found = _read_present(data)
    if found is None:
        return None
    spec, original = found
    manifest = apply_overlap_policy(original, data.patient_overlap, seed=data.split_seed)
    cache = _find_cache(manifest, data)
    return None if cache is None else _complete(data, spec, manifest, cache)


def find_view(data: DataConfig) -> DataView | None:
    """What is known of a prepared data set, as `inspect_dataset` would tell it; None when it must be prepared first.

    Quick where it was kept when it was prepared. Else the folder is read and looked at once more, which takes seconds
    for a hundred thousand images, and the answer is kept; nothing is drawn or decoded.

    Args:
        data: resolved.

    Raises:
        MedPeftError: the folder is not this data set.
    """
    view = load_view(view_key(data))
    if view is not None or not _pixels_dir().is_dir():
        return view
    found = _read_present(data)
    cache = _find_cache(found[1], data) if found is not None else None
    if found is None or cache is None:
        return None
    keep_view(data, *found, cache)
    return load_view(view_key(data))


def _read_present(data: DataConfig) -> tuple[DatasetSpec, Manifest] | None:
    """The manifest as `_read` gives it; None when the images would have to be drawn first."""
    spec, root, options = _find_reader(data)
    if not spec.is_present(root, options, split_seed=data.split_seed):
        return None
    manifest = spec.read_manifest(root, options, split_seed=data.split_seed, progress=ignore_progress)
    return spec, apply_split(manifest, data)


def _complete(data: DataConfig, spec: DatasetSpec, manifest: Manifest, cache: PixelCache) -> PreparedData:
    """Everything that follows from a whole manifest and its cache, row by row the same images."""
    note_use(cache.folder, dataset=data.dataset, root=data.root)
    unreadable = name_unreadable(manifest, cache)
    manifest, cache_rows = _apply_unreadable_policy(manifest, cache, data.unreadable)
    _check_splits(manifest)
    fingerprint = manifest.fingerprint()
    pixels_sha256 = hashlib.sha256("".join(cache.digests[cache_rows]).encode()).hexdigest()
    manifest = with_pseudonyms(manifest)
    report = build_report(spec, manifest, cache, cache_rows=cache_rows, unreadable=unreadable)
    return PreparedData(
        spec=spec,
        manifest=manifest,
        cache=cache,
        cache_rows=cache_rows,
        fingerprint=fingerprint,
        pixels_sha256=pixels_sha256,
        report=report,
    )


def inspect_dataset(data: DataConfig, *, progress: Progress = ignore_progress) -> DataReport:
    """The report on a data set as it lies on disk: overlap and unreadable images are told, not refused.

    It names patients as the data set does, so that its owner can find them; it is meant for the screen. What is stored
    goes through `hide_patients`. It is kept for `find_view`, with the manifest.

    Raises:
        DataError: the folder is not this data set, or the pixel cache cannot be written.
        OSError: the disk is full, so that the report cannot be kept.
    """
    spec, manifest = _read(data, progress)
    cache = _build_cache(manifest, data, progress)
    progress("counting", 0, 0)
    report = inspect_manifest(spec, manifest, cache)
    store_view(data, manifest, report, cache)
    return report


def _read(data: DataConfig, progress: Progress) -> tuple[DatasetSpec, Manifest]:
    spec, root, options = _find_reader(data)
    manifest = spec.read_manifest(root, options, split_seed=data.split_seed, progress=progress)
    return spec, apply_split(manifest, data)


def _find_reader(data: DataConfig) -> tuple[DatasetSpec, Path | None, Any]:
    """The spec of a data set, the folder to read, and the reader's options."""
    spec = DATASETS[data.dataset]
    options = build_part(spec.options, data.options, section="data")
    if spec.needs_root and not data.root:
        raise DataError(
            f"{spec.title} needs the folder it lies in. Give it with --root FOLDER (data.root). To get the data: "
            f"{spec.how_to_get}"
        )
    root = Path(data.root).expanduser().resolve() if data.root else None
    if root is not None and not root.is_dir():
        problem = f"{root} is a file, not a folder" if root.exists() else f"The folder {root} does not exist"
        raise DataError(f"{problem}. Give the folder that holds {spec.title}.")
    return spec, root, options


def _preparation_key(data: DataConfig) -> str:
    """The same for two sections that are prepared alike; the fraction is taken from prepared data."""
    return json.dumps(dataclasses.asdict(replace(data, fraction=1.0, fraction_seed=0)), sort_keys=True)


def _demand_prepared(data: DataConfig) -> PreparedData:
    prepared = find_prepared(data)
    if prepared is None:
        raise DataError(
            f"The images of {data.dataset} have not been prepared at {data.cache_size} pixels (data.cache_size) since "
            f"they last changed. Prepare them on the Data page or with: {build_prepare_command(data)}"
        )
    return prepared


def _build_cache(manifest: Manifest, data: DataConfig, progress: Progress) -> PixelCache:
    paths = manifest.paths()
    return build_pixel_cache(
        paths, cache_size=data.cache_size, folder=_cache_folder(manifest, paths, data), progress=progress,
        reading=read_how(data), names=manifest.table["image"].tolist(),
    )  # fmt: skip


def _find_cache(manifest: Manifest, data: DataConfig) -> PixelCache | None:
    paths = manifest.paths()
    folder = _cache_folder(manifest, paths, data)
    return find_pixel_cache(paths, cache_size=data.cache_size, folder=folder, reading=read_how(data))


def _cache_folder(manifest: Manifest, paths: list[Path], data: DataConfig) -> Path:
    names = manifest.table["image"].tolist()
    return _pixels_dir() / pixel_cache_key(paths, names, cache_size=data.cache_size, reading=read_how(data))


def _pixels_dir() -> Path:
    return cache_dir() / "pixels"


def _apply_unreadable_policy(manifest: Manifest, cache: PixelCache, policy: str) -> tuple[Manifest, np.ndarray]:
    is_readable = np.ones(len(manifest), dtype=bool)
    is_readable[list(cache.errors)] = False
    cache_rows = np.flatnonzero(is_readable)
    num_bad = len(cache.errors)
    if num_bad == 0:
        return manifest, cache_rows
    listed = _list_unreadable(manifest, cache)
    count = f"{num_bad} of {len(manifest)} images cannot be read"
    if policy == "refuse":
        raise DataError(f"{count}: {listed}. Repair or remove them, or train without them: --set data.unreadable=drop")
    if num_bad == len(manifest):
        raise DataError(f"None of the {num_bad} images of {manifest.dataset} can be read: {listed}. Check the folder.")
    kept = manifest.select(is_readable)
    return kept.with_table(kept.table, note=f"{count} and were left out: {listed}."), cache_rows


def _list_unreadable(manifest: Manifest, cache: PixelCache) -> str:
    unreadable = name_unreadable(manifest, cache)
    shown = [f"{name} ({reason})" for name, reason in list(unreadable.items())[:_SHOWN_IMAGES]]
    return ", ".join(shown) + (", ..." if len(cache.errors) > _SHOWN_IMAGES else "")


def _check_splits(manifest: Manifest) -> None:
    counts = manifest.table["split"].value_counts()
    empty = [name for name in SPLITS if counts.get(name, 0) == 0]
    if empty:
        found = ", ".join(f"{counts.get(name, 0)} {name}" for name in SPLITS)
        raise DataError(
            f"{manifest.dataset} has no {' and no '.join(empty)} images (found: {found}), but training needs at least "
            "one each of train, val and test. Add images, or try another data.split_seed where the data set has no "
            "split of its own."
        )
