"""The manifest: one table with a row per image, the only thing that anything after a reader knows of a data set."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from medpeft_core.errors import DataError

SPLITS = ("train", "val", "test")
FIXED_COLUMNS = ("image", "patient_id", "split")
OPTIONAL_COLUMNS = ("age", "sex", "view", "laterality", "skin_type", "site", "date", "boxes", "mask")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Images, patients, splits and targets of one data set.

    `table` has the columns `image` (path relative to `image_root`, "/" between folders, unique), `patient_id` (text,
    or missing in every row where the data set has none), `split` ("train", "val" or "test"), one float column for each
    of `labels` with 0, 1 or NaN (not known), and where known `age` (years), `sex` ("F", "M"), `view` ("PA", "AP",
    "LATERAL"), `laterality` ("L", "R", "B"), `skin_type` (Fitzpatrick, "1" to "6"), `site` (text), `date`
    ("2019-03-31"; splits may use it, it is dropped afterwards), `boxes` (JSON text: list of
    `{"label", "x", "y", "width", "height"}` in pixels of the source file) and `mask` (path of a mask image relative to
    `image_root`, or several as JSON text: see `masks`). For `task` "multiclass" exactly one label of a row is 1.

    Attributes:
        dataset: name of the data set.
        is_ordered: the classes of a "multiclass" task are grades, the mildest first.
        notes: sentences that belong into every report on this manifest, for example how it was split.
        sources: label tables and lists that were read and that nobody would find by looking into `image_root` and the
            folders right below it; pages tell when they have changed.
    """

    dataset: str
    task: str
    labels: tuple[str, ...]
    image_root: Path
    table: pd.DataFrame
    is_synthetic: bool = False
    is_ordered: bool = False
    notes: tuple[str, ...] = field(default=())
    sources: tuple[Path, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.table)

    @property
    def has_patients(self) -> bool:
        """Whether splits and intervals can go by patient."""
        return bool(self.table["patient_id"].notna().all())

    @property
    def patient_ids(self) -> np.ndarray:
        """(N,) patient of each image as text; an image without patients stands for itself."""
        if self.has_patients:
            return self.table["patient_id"].to_numpy(dtype=str)
        return self.table["image"].to_numpy(dtype=str)

    def targets(self) -> np.ndarray:
        """(N, K) float32 with 0, 1 or NaN, in the order of `labels`."""
        return self.table[list(self.labels)].to_numpy(dtype=np.float32)

    def paths(self) -> list[Path]:
        """The image files, one a row."""
        return [self.image_root / name for name in self.table["image"]]

    def select(self, rows: np.ndarray) -> Self:
        """A manifest of some rows, given by position or by a boolean mask, in that order."""
        return replace(
            self, table=self.table.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows].reset_index(drop=True)
        )

    def split(self, name: str) -> Self:
        """The rows of one split."""
        return self.select((self.table["split"] == name).to_numpy())

    def with_table(self, table: pd.DataFrame, *, note: str = "") -> Self:
        """The same data set with another table, and a sentence saying why."""
        return replace(self, table=table.reset_index(drop=True), notes=(*self.notes, note) if note else self.notes)

    def fingerprint(self) -> str:
        """SHA-256 over all that decides what a model sees and is measured on: names, patients, splits, targets."""
        digest = hashlib.sha256()
        # grades only where there are some: all other sets keep the fingerprints that older runs are stored with
        grades = ("grades",) if self.is_ordered else ()
        digest.update(repr((self.dataset, self.task, self.labels, *grades)).encode())
        table = self.table[[*FIXED_COLUMNS, *self.labels]]
        digest.update(table.to_csv(index=False, lineterminator="\n").encode())
        return digest.hexdigest()

    def check(self) -> None:
        """Refuse a table that breaks the rules above.

        Raises:
            DataError: says which rule, in which rows.
        """
        table = self.table
        missing = [name for name in (*FIXED_COLUMNS, *self.labels) if name not in table.columns]
        if missing:
            raise DataError(f"The manifest of {self.dataset!r} lacks the columns {', '.join(missing)}.")
        if table.empty:
            raise DataError(f"The data set {self.dataset!r} has no images.")
        if not self.labels:
            raise DataError(f"The data set {self.dataset!r} has no labels, so there is nothing to learn.")
        doubled = table["image"][table["image"].duplicated()].unique()
        if len(doubled):
            raise DataError(
                f"{len(doubled)} images are listed more than once, for example {_names(doubled)}. List each image once."
            )
        odd = table["split"][~table["split"].isin(SPLITS)].unique()
        if len(odd):
            raise DataError(f"The split of an image must be train, val or test, but {_names(odd)} was found.")
        targets = self.targets()
        wrong = ~(np.isnan(targets) | (targets == 0) | (targets == 1))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"The label {self.labels[column]!r} of {table['image'].iloc[row]} is {targets[row, column]:g}, but it "
                "must be 0, 1 or missing."
            )
        if self.task == "multiclass" and (np.nansum(targets, axis=1) != 1).any():
            row = int(np.flatnonzero(np.nansum(targets, axis=1) != 1)[0])
            raise DataError(f"{table['image'].iloc[row]} must belong to exactly one of {', '.join(self.labels)}.")
        has_patient = table["patient_id"].notna()
        if has_patient.any() and not has_patient.all():
            count = int((~has_patient).sum())
            raise DataError(
                f"{count} of {len(table)} images have no patient id, the others do. Give all images one, or none."
            )


def _names(values: Any, limit: int = 5) -> str:
    shown = ", ".join(str(value) for value in list(values)[:limit])
    return shown + (", ..." if len(values) > limit else "")
