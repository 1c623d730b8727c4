"""Counting what a data report tells: splits, labels, patients, damaged and doubled images, and what to do."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.datasets.fractions import count_positives
from medpeft_core.datasets.images import MISSING_REASON
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.datasets.report import DataReport
from medpeft_core.datasets.report_findings import list_advice, list_findings
from medpeft_core.datasets.spec import DatasetSpec
from medpeft_core.datasets.splits import find_patient_overlap

SHOWN = 20
GROUP_COLUMNS = ("laterality", "skin_type", "site")  # of a manifest, beside sex and view


def build_report(
    spec: DatasetSpec, manifest: Manifest, cache: PixelCache, *, cache_rows: np.ndarray, unreadable: dict[str, str]
) -> DataReport:
    """Look at a manifest and its pixels.

    Args:
        spec: of the data set.
        manifest: its patient ids appear in the report as they are.
        cache: the decoded images.
        cache_rows: (N,) row of the cache for each manifest row.
        unreadable: image name -> what is wrong with it, those that were left out of the manifest as well.
    """
    table = manifest.table
    rows_of = {name: np.flatnonzero((table["split"] == name).to_numpy()) for name in SPLITS}
    counts = {name: count_positives(manifest, rows) for name, rows in rows_of.items()}
    overlap = find_patient_overlap(table)
    duplicates = _find_duplicates(table, cache.digests[cache_rows])
    has_unreadable = bool(table["image"].isin(list(unreadable)).any())
    facts: dict[str, Any] = {
        "overlap": {"num_patients": len(overlap), "examples": {k: list(overlap[k]) for k in list(overlap)[:SHOWN]}},
        "unreadable": _describe_unreadable(unreadable),
        "duplicates": duplicates,
        "pixels": _describe_pixels(cache, cache_rows),
    }
    findings = list_findings(manifest, counts, {**facts, "has_unreadable": has_unreadable})
    return DataReport(
        dataset=manifest.dataset, title=spec.title, task=manifest.task, is_synthetic=manifest.is_synthetic,
        num_images=len(manifest), num_patients=_count_patients(manifest, np.arange(len(manifest))),
        splits={name: _describe_split(manifest, rows) for name, rows in rows_of.items()},
        labels=_describe_labels(manifest.labels, counts),
        age=_describe_age(table), sex=_count_values(table, "sex"), view=_count_values(table, "view"),
        groups={name: found for name in GROUP_COLUMNS if (found := _count_values(table, name))},
        notes=list(manifest.notes), advice=list_advice(findings),
        findings=[dataclasses.asdict(item) for item in findings], **facts,
    )  # fmt: skip


def _describe_split(manifest: Manifest, rows: np.ndarray) -> dict[str, Any]:
    return {"num_images": len(rows), "num_patients": _count_patients(manifest, rows)}


def _count_patients(manifest: Manifest, rows: np.ndarray) -> int | None:
    return int(manifest.table["patient_id"].iloc[rows].nunique()) if manifest.has_patients else None


def _describe_labels(labels: tuple[str, ...], counts: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Label to split to its counts; in one go, because there may be thousands of labels."""
    columns = {name: frame.to_dict("index") for name, frame in counts.items()}
    return {label: {name: _plain(columns[name][label]) for name in SPLITS} for label in labels}


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    prevalence = None if np.isnan(row["prevalence"]) else float(row["prevalence"])
    numbers = {name: int(row[name]) for name in ("num_images", "num_positive", "num_negative")}
    return {**numbers, "prevalence": prevalence}


def _describe_age(table: pd.DataFrame) -> dict[str, Any] | None:
    if "age" not in table:
        return None
    ages = table["age"].dropna().to_numpy(dtype=float)
    if len(ages) == 0:
        return None
    low, median, high = np.quantile(ages, (0, 0.5, 1)).tolist()
    return {"num_known": len(ages), "min": low, "median": median, "mean": float(ages.mean()), "max": high}


def _count_values(table: pd.DataFrame, column: str) -> dict[str, int] | None:
    if column not in table:
        return None
    return {str(name): int(count) for name, count in table[column].fillna("not known").value_counts().items()}


def _describe_pixels(cache: PixelCache, cache_rows: np.ndarray) -> dict[str, Any]:
    is_used = np.isin(np.arange(cache.num_images), cache_rows)
    is_used[list(cache.errors)] = False
    sizes, counts = np.unique(cache.source_sizes[is_used], axis=0, return_counts=True)
    common = sizes[counts.argmax()].tolist() if len(sizes) else None
    return {
        "channels": cache.channels, "cache_size": cache.cache_size, "cache_bytes": cache.nbytes,
        "num_source_sizes": len(sizes), "most_common_source_size": common,
        "num_changed_in_decoding": len(cache.warnings), "changes": sorted(set(cache.warnings.values()))[:SHOWN],
    }  # fmt: skip


def _describe_unreadable(unreadable: dict[str, str]) -> dict[str, Any]:
    examples = [{"image": name, "reason": reason} for name, reason in list(unreadable.items())[:SHOWN]]
    num_missing = sum(reason == MISSING_REASON for reason in unreadable.values())
    return {"total": len(unreadable), "num_missing": num_missing, "examples": examples}


def _find_duplicates(table: pd.DataFrame, digests: np.ndarray) -> dict[str, Any]:
    """Groups of images that are the same pixels to a model; unreadable images (digest "") are no group."""
    columns = {"digest": digests, "image": table["image"].to_numpy(), "split": table["split"].to_numpy()}
    found = pd.DataFrame(columns)
    found = found[(found["digest"] != "") & found.duplicated("digest", keep=False)]
    groups = [group for _, group in found.groupby("digest", sort=False)]
    across = [group for group in groups if group["split"].nunique() > 1]
    shown = (across + [group for group in groups if group["split"].nunique() == 1])[:SHOWN]
    return {
        "num_groups_within": len(groups) - len(across),
        "num_groups_across": len(across),
        "num_images": len(found),
        "examples": [group[["image", "split"]].to_dict("records") for group in shown],
    }
