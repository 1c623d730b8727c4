"""Who belongs to train, val and test: splitting by patient, and what to do about patients in two splits."""

import hashlib

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.errors import DataError

UNCHECKED_NOTE = "This data set has no patient ids: leakage between images of one patient could not be checked."
IN_PLACE = "in place of the split that the data set came with"
TOO_FEW = "too few patients to be spread"
_SHARED = "in more than one split"


def hash_order(names: np.ndarray, seed: int) -> np.ndarray:
    """Positions that put unique names into a random order, which depends on the seed and the names alone.

    Args:
        names: (N,) text, each name once.
        seed: another seed, another order.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names.tolist()]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def split_by_patient(
    patient_ids: np.ndarray, *, seed: int, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> np.ndarray:
    """Assign every image to "train", "val" or "test" so that no patient is in two of them.

    The patients get one random order, which is cut where the number of images comes closest to the fractions. With at
    least as many patients as wanted splits, no wanted split is empty. The order of the rows plays no part.

    Args:
        patient_ids: (N,) patient of each image.
        seed: another seed, another order of the patients.
        fractions: shares of train, val and test, 0 or more; they are scaled to sum 1.

    Returns:
        (N,) text.
    """
    patients, patient_of_image, counts = np.unique(patient_ids.astype(str), return_inverse=True, return_counts=True)
    order = hash_order(patients, seed)
    sizes = counts[order]
    middles = (np.cumsum(sizes) - sizes / 2) / max(int(sizes.sum()), 1)  # a patient goes where its middle image falls
    edges = np.cumsum(fractions) / sum(fractions)
    part_in_order = np.searchsorted(edges[:2], middles, side="right")
    fill_empty_parts(part_in_order, fractions)
    part_of_patient = np.empty(len(patients), dtype=np.int64)
    part_of_patient[order] = part_in_order
    return np.array(SPLITS)[part_of_patient[patient_of_image]]


def fill_empty_parts(parts: np.ndarray, shares: tuple[float, ...]) -> None:
    """Give each wanted but empty part one patient of the part with the most, in place.

    Args:
        parts: (M,) part of each patient.
        shares: of the parts; those above 0 are wanted. Nothing happens where there are more of them than patients.
    """
    wanted = [part for part, share in enumerate(shares) if share > 0]
    if len(parts) < len(wanted):
        return
    for part in wanted:
        if not (parts == part).any():
            largest = np.bincount(parts, minlength=len(shares)).argmax()
            parts[np.flatnonzero(parts == largest)[-1]] = part


def find_patient_overlap(table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Patients that are in more than one split, with those splits; empty where the table has no patient ids."""
    known = table.loc[table["patient_id"].notna(), ["patient_id", "split"]].drop_duplicates()
    repeated = known[known.duplicated("patient_id", keep=False)].sort_values("patient_id")
    found = repeated.groupby("patient_id", sort=True)["split"].agg(set)
    return {str(patient): tuple(name for name in SPLITS if name in splits) for patient, splits in found.items()}


def is_doubt(note: str) -> bool:
    """Whether a note of a manifest tells why its results are to be doubted or compared with care; others only tell how
    the data were read."""
    return note == UNCHECKED_NOTE or _SHARED in note or TOO_FEW in note


def apply_overlap_policy(manifest: Manifest, policy: str, *, seed: int) -> Manifest:
    """Deal with patients in two splits as the user chose, and note what was done.

    Args:
        manifest: may lack patient ids; then nothing can be checked, and a note says so.
        policy: "refuse", "keep" or "resplit".
        seed: of the new split.

    Raises:
        DataError: the policy is "refuse" and patients overlap.
    """
    if not manifest.has_patients:
        return manifest.with_table(manifest.table, note=UNCHECKED_NOTE)
    overlap = find_patient_overlap(manifest.table)
    if not overlap:
        return manifest
    if policy == "refuse":
        raise DataError(_refusal(overlap))
    if policy == "keep":
        note = f"{_patients(len(overlap))} {_SHARED} and stayed there: results on val and test are too good."
        return manifest.with_table(manifest.table, note=note)
    table = manifest.table.copy()
    table["split"] = split_by_patient(manifest.patient_ids, seed=seed)
    note = (
        f"{_patients(len(overlap))} {_SHARED}, so all images were split anew by patient (70/10/20, seed "
        f"{seed}); results are not comparable with those on the original split."
    )
    return manifest.with_table(table, note=note)


def _refusal(overlap: dict[str, tuple[str, ...]]) -> str:
    """Without their ids, because messages of jobs and runs are kept on disk."""
    together = pd.Series([" and ".join(splits) for splits in overlap.values()]).value_counts()
    shown = ", ".join(f"{count} in {splits}" for splits, count in together.items())
    return (
        f"{_patients(len(overlap))} {_SHARED} ({shown}). A model would be tested on patients it learned from. The data "
        "report names them (the command `prepare`). Split anew by patient with --set data.patient_overlap=resplit, or "
        "accept it with --set data.patient_overlap=keep."
    )


def _patients(count: int) -> str:
    return "1 patient is" if count == 1 else f"{count} patients are"
