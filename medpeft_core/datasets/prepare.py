"""From the data section of a config to data that can be trained on: manifest, pixel cache, and a report on both."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medpeft_core.config import DataConfig, build_part
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.pixels import PixelCache, build_pixel_cache, pixel_cache_key
from medpeft_core.datasets.privacy import load_home_key, pseudonymise
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.datasets.report import DataReport
from medpeft_core.datasets.report_build import build_report
from medpeft_core.datasets.spec import DATASETS, DatasetSpec
from medpeft_core.datasets.splits import UNCHECKED_NOTE, apply_overlap_policy
from medpeft_core.errors import DataError
from medpeft_core.paths import cache_dir

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


def prepare_dataset(
    data: DataConfig, *, progress: Progress = ignore_progress, use_cache_only: bool = False
) -> PreparedData:
    """Read, check and decode a data set, or take what was decoded before.

    Args:
        data: its `patient_overlap` and `unreadable` decide what happens to such images.
        progress: may raise to stop; then no half cache is left.
        use_cache_only: refuse to decode; for callers that must not take long.

    Raises:
        DataError: the data cannot be used as they are; says which images or patients and what to do.
        ConfigError: the reader does not know one of `data.options`.
        UnknownNameError: there is no data set of that name.
    """
    spec, original = _read(data, progress)
    manifest = apply_overlap_policy(original, data.patient_overlap, seed=data.split_seed)
    cache = _open_or_build_cache(manifest, data.cache_size, progress, use_cache_only=use_cache_only)
    manifest, cache_rows = _apply_unreadable_policy(manifest, cache, data.unreadable)
    _check_splits(manifest)
    fingerprint = manifest.fingerprint()
    pixels_sha256 = hashlib.sha256("".join(cache.digests[cache_rows]).encode()).hexdigest()
    manifest = _with_pseudonyms(manifest)
    unreadable = _name_unreadable(original, cache)
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

    It names patients as the data set does, so that its owner can find them; it is meant for the screen, not for
    storing.

    Raises:
        DataError: the folder is not this data set, or the pixel cache cannot be written.
    """
    spec, manifest = _read(data, progress)
    if not manifest.has_patients:
        manifest = replace(manifest, notes=(*manifest.notes, UNCHECKED_NOTE))
    cache = _open_or_build_cache(manifest, data.cache_size, progress, use_cache_only=False)
    unreadable = _name_unreadable(manifest, cache)
    return build_report(spec, manifest, cache, cache_rows=np.arange(len(manifest)), unreadable=unreadable)


def _read(data: DataConfig, progress: Progress) -> tuple[DatasetSpec, Manifest]:
    spec = DATASETS[data.dataset]
    options = build_part(spec.options, data.options, section="data")
    if spec.needs_root and not data.root:
        raise DataError(
            f"{spec.title} needs the folder it lies in. Give it with --root FOLDER (data.root). To get the data: "
            f"{spec.how_to_get}"
        )
    root = Path(data.root).expanduser().resolve() if data.root else None
    if root is not None and not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise DataError(f"data.root is {root}, but it {problem}. Give the folder that holds {spec.title}.")
    return spec, spec.read_manifest(root, options, split_seed=data.split_seed, progress=progress)


def _open_or_build_cache(
    manifest: Manifest, cache_size: int, progress: Progress, *, use_cache_only: bool
) -> PixelCache:
    paths = manifest.paths()
    key = pixel_cache_key(paths, manifest.table["image"].tolist(), cache_size=cache_size)
    folder = cache_dir() / "pixels" / key
    if not use_cache_only:
        return build_pixel_cache(paths, cache_size=cache_size, folder=folder, progress=progress)
    if not folder.exists():
        raise DataError(
            f"The images of {manifest.dataset} have not been decoded at {cache_size} pixels since they last changed. "
            f"Run: python -m medpeft_core prepare {manifest.dataset}"
        )
    return PixelCache.open(folder)


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


def _name_unreadable(manifest: Manifest, cache: PixelCache) -> dict[str, str]:
    """Image name -> reason, where row i of the manifest is row i of the cache."""
    names = manifest.table["image"]
    return {names.iloc[row]: reason for row, reason in sorted(cache.errors.items())}


def _list_unreadable(manifest: Manifest, cache: PixelCache) -> str:
    unreadable = _name_unreadable(manifest, cache)
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


def _with_pseudonyms(manifest: Manifest) -> Manifest:
    if not manifest.table["patient_id"].notna().any():
        return manifest
    table = manifest.table.copy()
    table["patient_id"] = pseudonymise(table["patient_id"], load_home_key())
    return manifest.with_table(table)
