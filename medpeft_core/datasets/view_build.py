"""From a manifest and its decoded images to what pages show of them: the report, and the view that is kept."""

from dataclasses import replace

import numpy as np
import pandas as pd

from medpeft_core.config import DataConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.datasets.privacy import load_home_key, pseudonymise
from medpeft_core.datasets.report import DataReport
from medpeft_core.datasets.report_build import build_report
from medpeft_core.datasets.spec import DatasetSpec
from medpeft_core.datasets.splits import UNCHECKED_NOTE
from medpeft_core.datasets.views import is_current, load_view, save_view, view_key


def inspect_manifest(spec: DatasetSpec, manifest: Manifest, cache: PixelCache) -> DataReport:
    """The report on a manifest as its reader gave it; overlap and unreadable images are told, not dealt with.

    Args:
        spec: of the data set.
        manifest: its patient ids appear in the report as they are.
        cache: row i of it is row i of the manifest.
    """
    if not manifest.has_patients:
        manifest = replace(manifest, notes=(*manifest.notes, UNCHECKED_NOTE))
    unreadable = name_unreadable(manifest, cache)
    return build_report(spec, manifest, cache, cache_rows=np.arange(len(manifest)), unreadable=unreadable)


def keep_view(data: DataConfig, spec: DatasetSpec, manifest: Manifest, cache: PixelCache) -> None:
    """Keep for pages what `inspect_dataset` would tell, unless it is kept already.

    Args:
        data: where the manifest comes from.
        spec, manifest, cache: as for `inspect_manifest`.

    Raises:
        OSError: the disk is full.
    """
    if not is_current(load_view(view_key(data)), manifest, cache.folder):
        store_view(data, manifest, inspect_manifest(spec, manifest, cache), cache)


def store_view(data: DataConfig, manifest: Manifest, report: DataReport, cache: PixelCache) -> None:
    """Keep a report that `inspect_manifest` gave, with its manifest; no patient id is stored.

    Raises:
        OSError: the disk is full.
    """
    hidden = hide_patients(report).to_dict()
    save_view(data, with_pseudonyms(manifest), hidden, cache_folder=cache.folder)


def hide_patients(report: DataReport) -> DataReport:
    """A report as it may be stored: patients in several splits are named by their pseudonyms in this home."""
    examples = report.overlap["examples"]
    if not examples:
        return report
    names = pseudonymise(pd.Series(list(examples), dtype=object), load_home_key())
    note = (
        "The patients in several splits are named by pseudonyms here; "
        f"`python -m medpeft_core prepare {report.dataset}` prints their own names."
    )
    overlap = {**report.overlap, "examples": dict(zip(names, examples.values(), strict=True))}
    return replace(report, overlap=overlap, notes=[*report.notes, note])


def with_pseudonyms(manifest: Manifest) -> Manifest:
    """The manifest with patients named as in this home only."""
    if not manifest.table["patient_id"].notna().any():
        return manifest
    table = manifest.table.copy()
    table["patient_id"] = pseudonymise(table["patient_id"], load_home_key())
    return manifest.with_table(table)


def name_unreadable(manifest: Manifest, cache: PixelCache) -> dict[str, str]:
    """Image name -> reason, where row i of the manifest is row i of the cache."""
    names = manifest.table["image"]
    return {names.iloc[row]: reason for row, reason in sorted(cache.errors.items())}
