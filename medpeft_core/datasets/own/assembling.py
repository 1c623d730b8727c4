"""From rows with files and targets to a checked manifest: what the three readers of own data have in common. Light."""

from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import OPTIONAL_COLUMNS, Manifest
from medpeft_core.datasets.own.dicom_files import DicomTable
from medpeft_core.datasets.own.label_table import LabelTable
from medpeft_core.datasets.own.own_splits import ADVICE, complete_split
from medpeft_core.datasets.own.patterns import find_ids, offer_pattern
from medpeft_core.datasets.own.scanning import Scan
from medpeft_core.errors import DataError

FROM_FILES = ("age", "sex", "view", "laterality", "site", "date")
OFFERED = "No patients are known, but the names of files or folders may tell them: "
_SHOWN = 5


def merge_doubles(table: pd.DataFrame, labels: LabelTable, notes: list[str], *, where: str) -> pd.DataFrame:
    """One row for each image, where several say the same; a note tells how many there were.

    Args:
        table: `image`, `patient_id`, `split` and `line` of each row, indexed as the targets.
        labels: their targets.
        notes: gets a sentence.
        where: begins the message before the lines: "In table.csv, lines".

    Raises:
        DataError: two rows for one image differ in a label, the patient or the split.
    """
    doubled = table["image"].duplicated(keep=False)
    if not doubled.any():
        return table
    facts = pd.concat([table[["image", "patient_id", "split"]], labels.targets.loc[table.index]], axis=1)[doubled]
    same = facts.fillna("").astype(str).drop_duplicates()
    differing = same["image"][same["image"].duplicated()].unique()
    if len(differing):
        image = differing[0]
        lines = [str(line) for line in table["line"][table["image"] == image][:_SHOWN]]
        rows = facts[facts["image"] == image]
        odd = [str(name) for name in facts.columns[1:] if rows[name].astype(str).nunique() > 1][:_SHOWN]
        more = f" {len(differing)} images have such rows." if len(differing) > 1 else ""
        raise DataError(
            f"{where} {' and '.join(lines)} are about the same image, {image}, but differ in "
            f"{', '.join(odd)}.{more} Keep one row for each image, or make them agree."
        )
    num = int(table["image"].duplicated().sum())
    notes.append(f"{num} rows repeat an image with the same labels; each image counts once.")
    return table[~table["image"].duplicated()]


def fill_from_files(table: pd.DataFrame, files: DicomTable | None, notes: list[str]) -> pd.DataFrame:
    """Patients and what else the DICOM files tell, where the table does not."""
    if files is None or files.frame.empty:
        return table
    facts = files.frame.set_index("image")
    known = facts.reindex(table["image"]).set_index(table.index)
    table = table.copy()
    filled = []
    for name in FROM_FILES:
        if name not in table and known[name].notna().any():
            table[name] = known[name]
            filled.append(name)
    if not table["patient_id"].notna().any() and known["patient_id"].notna().any():
        table["patient_id"] = known["patient_id"].astype(object).where(known["patient_id"].notna(), None)
        filled.insert(0, "patient")
    if filled:
        notes.append(f"Taken from the DICOM files: {', '.join(filled)}.")
    return table


def fill_patients(table: pd.DataFrame, pattern: str, notes: list[str]) -> pd.DataFrame:
    """Patients out of file names where nothing else tells them; an image without one stands for itself.

    Raises:
        DataError: the pattern fits no name.
    """
    table = table.copy()
    if pattern and not table["patient_id"].notna().any():
        ids = find_ids(table["image"].tolist(), pattern)
        if not any(ids):
            raise DataError(
                f"data.patient_pattern={pattern} fits no file name; the first is {table['image'].iloc[0]}. Change it, "
                "or "
                "leave it out."
            )
        table["patient_id"] = pd.Series(ids, index=table.index, dtype=object)
        notes.append(f"Patients were read from the file names by {pattern} (data.patient_pattern).")
    missing = table["patient_id"].isna()
    if missing.all() and (offered := offer_pattern(table["image"].tolist())):
        notes.append(f"{OFFERED}{offered} (data.patient_pattern).")
    if missing.any() and not missing.all():
        table.loc[missing, "patient_id"] = "image " + table.loc[missing, "image"]
        notes.append(f"{int(missing.sum())} images have no patient; each counts as a patient of its own.")
    return table


def build_manifest(
    name: str,
    root: Path,
    table: pd.DataFrame,
    labels: LabelTable,
    *,
    notes: list[str],
    seed: int,
    source: str,
    advice: str = ADVICE,
) -> Manifest:
    """Split, sort and check.

    Args:
        name: of the data set.
        root: of the images.
        table: `image`, `patient_id`, `split` and what optional columns are known; indexed as `labels.targets`.
        labels: targets, of more rows perhaps.
        notes: all sentences so far; more may be added.
        seed: of the split where one must be drawn.
        source: see `complete_split`.
        advice: see `complete_split`.

    Raises:
        DataError: the classes or the splits cannot be used.
    """
    columns = ["image", "patient_id", "split", *(column for column in OPTIONAL_COLUMNS if column in table)]
    table = complete_split(table[columns], seed=seed, notes=notes, source=source, advice=advice)
    targets = labels.targets.loc[table.index]
    targets = _drop_unused(targets, labels, notes)
    whole = pd.concat([table.reset_index(drop=True), targets.astype(float).reset_index(drop=True)], axis=1)
    whole = whole.sort_values("image", ignore_index=True)
    manifest = Manifest(
        dataset=name, task=labels.task, labels=tuple(str(label) for label in targets.columns), image_root=root,
        table=whole, is_ordered=labels.is_ordered, notes=tuple(notes),
    )  # fmt: skip
    manifest.check()
    return manifest


def describe_scan(scan: Scan) -> list[str]:
    """Sentences on what was seen and passed over."""
    notes = []
    if scan.outside:
        shown = ", ".join(scan.outside[:_SHOWN])
        notes.append(
            f"{len(scan.outside)} links lead out of the folder, for example {shown}; they were left out. Give the "
            "folder "
            "that holds the files themselves."
        )
    if scan.repeated:
        shown = ", ".join(scan.repeated[:_SHOWN])
        notes.append(
            f"{len(scan.repeated)} links lead to folders that were seen anyway, for example {shown}; they were not "
            "followed, so that no image counts twice."
        )
    if scan.num_masks:
        notes.append(f"{scan.num_masks} masks were recognised by their names; {len(scan.masks)} belong to an image.")
    return notes


def _drop_unused(targets: pd.DataFrame, labels: LabelTable, notes: list[str]) -> pd.DataFrame:
    """Without classes of which no image is left: nothing could be said about them. A grade between others stays, as it
    tells how far these lie apart.

    Raises:
        DataError: one class is left only, or every label is the same for all images.
    """
    if labels.task != "multiclass":
        _check_varied(targets)
        return targets
    is_used = (targets.to_numpy() == 1).sum(axis=0) > 0
    if is_used.sum() < 2:
        only = targets.columns[np.flatnonzero(is_used)[0]] if is_used.any() else "none"
        raise DataError(
            f"All {len(targets)} images belong to one class, {only!r}, so there is nothing to tell apart. Add images "
            "of "
            "another class."
        )
    unused = [str(name) for name in targets.columns[~is_used]]
    kept = is_used.copy()
    if labels.is_ordered:
        first, *_, last = np.flatnonzero(is_used)
        kept[first : last + 1] = True
    if unused:
        stay = " Grades between others keep their place." if (kept & ~is_used).any() else ""
        shown = f"{', '.join(unused[:_SHOWN])}{', ...' if len(unused) > _SHOWN else ''}"
        notes.append(f"No image is left of {shown}.{stay}")
    return targets[targets.columns[kept]]


def _check_varied(targets: pd.DataFrame) -> None:
    """Refuse labels of which none is 0 for some images and 1 for others."""
    values = targets.to_numpy()
    ones, zeros = (values == 1).any(axis=0), (values == 0).any(axis=0)
    if (ones & zeros).any():
        return
    name, value = targets.columns[0], "1" if ones[0] else "0" if zeros[0] else "not known"
    what = (
        f"The label {name!r} is {value}" if len(targets.columns) == 1 else f"Each label, such as {name!r}, is one value"
    )
    raise DataError(
        f"{what} for all {len(targets)} images, so there is nothing to tell apart. Add other images, or choose other "
        "labels; data.blank says what empty cells mean."
    )
