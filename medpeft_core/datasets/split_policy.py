"""How the user wants a data set to be split, whatever its reader says: by patient, labels, folds, site or date."""

import re
from dataclasses import replace

import numpy as np

from medpeft_core.config import DataConfig
from medpeft_core.datasets.hold_out import hold_out, read_rule
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.report_words import has, join
from medpeft_core.datasets.splits import IN_PLACE, TOO_FEW, split_by_patient
from medpeft_core.datasets.stratified import deal_patients
from medpeft_core.errors import DataError

SHARES = (0.7, 0.1, 0.2)  # train, val, test
HALVES_VAL = (7 / 8, 1 / 8)  # of the other half where there are two folds
_SHOWN_LABELS = 5
# How notes of readers, and of this module on stored sets, begin or go on where they tell of a split.
_TELLS_SPLIT = re.compile(
    r"^(Split |Test split |Test: |Fold \d|Official (split|test set)|Patients were split |Sorted by name|What is tested|"
    r"The papers' order |As the reader splits |(val|test) is an? )|were split at random|drawn at random, seed|"
    r"is the test split|in the official split|numbers folds: "
)
_DATED = "As read, before data.split="


def apply_split(manifest: Manifest, data: DataConfig) -> Manifest:
    """The manifest split as `data.split` says, with notes on it, and without dates.

    Raises:
        DataError: the data set does not have what that split needs.
    """
    by = "patient" if manifest.has_patients else "image"
    if data.split != "given":
        manifest = replace(manifest, notes=tuple(_date_back(note, data.split) for note in manifest.notes))
    if data.split == "patient":
        splits = split_by_patient(manifest.patient_ids, seed=data.split_seed)
        how = f"Split by {by}, 70/10/20, seed {data.split_seed} (data.split=patient)"
        manifest = _with_splits(manifest, splits, how)
    elif data.split == "stratified":
        splits = np.array(SPLITS)[_deal(manifest, SHARES, data.split_seed)]
        how = f"Split by {by} with labels spread evenly, 70/10/20, seed {data.split_seed} (data.split=stratified)"
        manifest = _note_missing_labels(_with_splits(manifest, splits, how))
    elif data.split == "folds":
        manifest = _note_missing_labels(_split_by_folds(manifest, data, by))
    elif data.split == "hold_out":
        manifest = hold_out(manifest, read_rule(data.hold_out), seed=data.split_seed)
    if "date" not in manifest.table:
        return manifest
    return manifest.with_table(manifest.table.drop(columns="date"))


def deal_folds(manifest: Manifest, num_folds: int, *, seed: int) -> np.ndarray:
    """(N,) fold of each image, from 1: whole patients, with labels spread evenly.

    Raises:
        DataError: there are fewer patients than folds.
    """
    num_patients = len(np.unique(manifest.patient_ids))
    if num_patients < num_folds:
        who = "patients" if manifest.has_patients else "images"
        raise DataError(
            f"{manifest.dataset} has {num_patients} {who}, too few for {num_folds} folds (data.folds). Take "
            f"{'fewer folds, or ' if num_patients >= 3 else ''}data.split=stratified."
        )
    return _deal(manifest, (1.0,) * num_folds, seed) + 1


def _date_back(note: str, split: str) -> str:
    """A note on the split that is being replaced says so; other notes, on labels or on what was left out, stay."""
    is_meant = _TELLS_SPLIT.search(note) and not note.startswith(_DATED)
    return f"{_DATED}{split} replaced the split: {note}" if is_meant else note


def _split_by_folds(manifest: Manifest, data: DataConfig, by: str) -> Manifest:
    folds = deal_folds(manifest, data.folds, seed=data.split_seed)
    is_test = folds == data.fold
    splits = np.where(is_test, "test", "train")
    if data.folds == 2:  # the other fold is train and val
        rest = manifest.select(~is_test)
        splits[~is_test] = np.array(SPLITS[:2])[_deal(rest, HALVES_VAL, data.split_seed)]
        val = "val is an eighth of the other"
    else:
        val_fold = data.fold % data.folds + 1
        splits[folds == val_fold] = "val"
        val = f"fold {val_fold} is val"
    how = (
        f"Fold {data.fold} of {data.folds} is test and {val}; folds go by {by} with labels spread evenly, seed "
        f"{data.split_seed} (data.split=folds)"
    )
    return _with_splits(manifest, splits, how)


def _deal(manifest: Manifest, shares: tuple[float, ...], seed: int) -> np.ndarray:
    images = manifest.table["image"].to_numpy(dtype=str)
    return deal_patients(images, manifest.patient_ids, manifest.targets(), shares=shares, seed=seed)


def _with_splits(manifest: Manifest, splits: np.ndarray, how: str) -> Manifest:
    table = manifest.table.copy()
    table["split"] = splits
    return manifest.with_table(table, note=f"{how}, {IN_PLACE}.")


def _note_missing_labels(manifest: Manifest) -> Manifest:
    """A note where a label's positives, from too few patients, are not in each of train, val and test."""
    is_positive = manifest.targets() == 1
    names = manifest.table["split"].to_numpy(dtype=str)
    patients = manifest.patient_ids
    sparse = []
    for label, column in zip(manifest.labels, is_positive.T, strict=True):
        missing = [name for name in SPLITS if not column[names == name].any()]
        if missing and column.any():
            sparse.append(f"{label} ({len(np.unique(patients[column]))}, none in {join(missing, 'or')})")
    if not sparse:
        return manifest
    shown = ", ".join(sparse[:_SHOWN_LABELS]) + (", ..." if len(sparse) > _SHOWN_LABELS else "")
    note = f"{len(sparse)} of {len(manifest.labels)} labels {has(sparse)} {TOO_FEW}: {shown}."
    return manifest.with_table(manifest.table, note=note)
