"""Counting a manifest for charts and tables: labels, patients, ages, sex and view by split, and labels together."""

import math
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.datasets.fractions import count_positives
from medpeft_core.datasets.manifest import SPLITS, Manifest

Z_95 = 1.959964  # of the normal distribution, for intervals of 95 %
AGE_STEP = 10
OLDEST_GROUP = 90  # "90 and older" is the last group
VALUE_COLUMNS = ("sex", "view", "laterality", "skin_type", "site")  # of a manifest, each with a few values
SORTED_COLUMNS = ("skin_type",)  # whose values have an order
MAX_PAIR_LABELS = 30


def compute_wilson_interval(num_positive: int, num_known: int) -> tuple[float, float]:
    """95 % interval of a share, which takes the images as independent of each other.

    Args:
        num_positive: 0 to `num_known`.
        num_known: 1 or more.

    Returns:
        Low and high end, within [0, 1].

    Reference: Wilson 1927, J Am Stat Assoc 22.
    """
    share, square = num_positive / num_known, Z_95**2
    middle = (share + square / (2 * num_known)) / (1 + square / num_known)
    half = Z_95 / (1 + square / num_known) * math.sqrt(share * (1 - share) / num_known + square / (4 * num_known**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def count_labels(manifest: Manifest) -> list[dict[str, Any]]:
    """One row per label and split, in the order of the labels.

    Returns:
        Rows with `label`, `split`, `num_positive`, `num_known`, `num_unknown` and, None where none is known, `share`,
        `low` and `high` (Wilson).
    """
    rows = []
    for split in SPLITS:
        positions = _rows_of(manifest, split)
        for label, counts in count_positives(manifest, positions).iterrows():
            known, positive = int(counts["num_images"]), int(counts["num_positive"])
            low, high = compute_wilson_interval(positive, known) if known else (None, None)
            rows.append(
                {
                    "label": str(label), "split": split, "num_positive": positive, "num_known": known,
                    "num_unknown": len(positions) - known, "share": positive / known if known else None,
                    "low": low, "high": high,
                }
            )  # fmt: skip
    order = {label: place for place, label in enumerate(manifest.labels)}
    return sorted(rows, key=lambda row: order[row["label"]])  # stable: train, val, test within a label


def count_splits(manifest: Manifest) -> list[dict[str, Any]]:
    """One row per split and one for all: `split`, `num_images`, `num_patients` (None without patient ids),
    `images_per_patient`, `num_with_finding` (at least one positive label) and `num_without` (every label known and 0).
    """
    targets = manifest.targets()
    has_finding, has_none = (targets == 1).any(axis=1), (targets == 0).all(axis=1)
    rows = []
    for name in (*SPLITS, "all"):
        positions = np.arange(len(manifest)) if name == "all" else _rows_of(manifest, name)
        patients = manifest.table["patient_id"].iloc[positions].nunique() if manifest.has_patients else None
        rows.append(
            {
                "split": name,
                "num_images": len(positions),
                "num_patients": patients,
                "images_per_patient": len(positions) / patients if patients else None,
                "num_with_finding": int(has_finding[positions].sum()),
                "num_without": int(has_none[positions].sum()),
            }
        )
    return rows


def count_values(manifest: Manifest, column: str) -> list[dict[str, Any]]:
    """How often each value of one of `VALUE_COLUMNS` occurs in each split; nothing where it is missing or empty.

    Returns:
        Rows with `split`, `value`, `num_images` and `share` of the images whose value is known; the commonest value
        first, or the smallest where values have an order; every value in every split.
    """
    if column not in manifest.table:
        return []
    values = manifest.table[column].dropna().astype(str)
    names = sorted(values.unique()) if column in SORTED_COLUMNS else values.value_counts().index.tolist()
    return [row for name in names for row in _count_group(manifest, values == name, values.index, str(name))]


def count_ages(manifest: Manifest) -> list[dict[str, Any]]:
    """Images by age in groups of ten years, as `count_values` gives them, the youngest first; `value` is such as
    "20-29". Ages below 0 are in none."""
    if "age" not in manifest.table:
        return []
    ages = manifest.table["age"].astype(float)
    ages = ages[ages >= 0]
    groups = (ages // AGE_STEP * AGE_STEP).clip(upper=OLDEST_GROUP)
    if not len(groups):
        return []
    starts = range(int(groups.min()), int(groups.max()) + 1, AGE_STEP)
    names = [f"{start}+" if start == OLDEST_GROUP else f"{start}-{start + AGE_STEP - 1}" for start in starts]
    return [
        row
        for start, name in zip(starts, names, strict=True)
        for row in _count_group(manifest, groups == start, groups.index, name)
    ]


def count_unknown(manifest: Manifest, column: str) -> int:
    """Images whose value in a column is not known; all of them where there is no such column."""
    return int(manifest.table[column].isna().sum()) if column in manifest.table else len(manifest)


def count_pairs(manifest: Manifest) -> list[dict[str, Any]]:
    """How often labels occur together, over all splits.

    Returns:
        Rows with `label`, `other`, `num_images` (both positive) and `share` (of the images with `label`, those that
        have `other` as well; None where `label` is never positive), for each pair in both orders and for each label
        with itself. Nothing for classes, of which an image has one, and for more than `MAX_PAIR_LABELS` labels.
    """
    if manifest.task == "multiclass" or len(manifest.labels) > MAX_PAIR_LABELS:
        return []
    is_positive = (manifest.targets() == 1).astype(np.int64)
    together = is_positive.T @ is_positive  # (K, K)
    return [
        {
            "label": label, "other": other, "num_images": int(together[row, column]),
            "share": float(together[row, column] / together[row, row]) if together[row, row] else None,
        }
        for row, label in enumerate(manifest.labels)
        for column, other in enumerate(manifest.labels)
    ]  # fmt: skip


def _rows_of(manifest: Manifest, split: str) -> np.ndarray:
    return np.flatnonzero((manifest.table["split"] == split).to_numpy())


def _count_group(manifest: Manifest, is_in: pd.Series, known: pd.Index, name: str) -> list[dict[str, Any]]:
    """A row per split with known values."""
    splits = manifest.table.loc[known, "split"]
    num_known, num_in = splits.value_counts(), splits[is_in].value_counts()
    return [
        {
            "split": split, "value": name, "num_images": int(num_in.get(split, 0)),
            "share": float(num_in.get(split, 0) / num_known[split]),
        }
        for split in SPLITS
        if num_known.get(split, 0)
    ]  # fmt: skip
