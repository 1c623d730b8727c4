"""Prepared data sets and what their splits hold, kept in memory for a while. Never draws or decodes an image."""

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from medpeft_core.config import DataConfig
from medpeft_core.datasets.fractions import count_positives, fraction_warnings
from medpeft_core.datasets.prepare import PreparedData, find_prepared
from medpeft_core.datasets.prepare_command import build_prepare_command
from medpeft_core.datasets.splits import is_doubt
from medpeft_core.errors import DataError
from medpeft_core.resolve import resolve_data
from medpeft_core.training.data import split_data

KEEP_S = 120.0  # then the files are looked at again: on a large data set that takes seconds
MAX_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """What a label fraction of a data set holds.

    Attributes:
        num_images: of each whole split.
        num_train_images, num_train_patients: in the fraction; None patients where the data have none.
        positives: in the fraction, label to {"num_positive", "num_negative", "num_unknown"}.
        notes: how the data were made, read and split.
        task: "multilabel" or "multiclass".
        is_ordered: the classes of a "multiclass" task are grades.
        warnings: what people should know of these data before they train on them.
    """

    num_images: dict[str, int]
    num_train_images: int
    num_train_patients: int | None
    positives: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    task: str
    is_ordered: bool
    warnings: tuple[str, ...]


@dataclass
class _Entry:
    prepared: PreparedData
    found_at: float
    facts: dict[tuple[float, int], SplitFacts]


class KnownData:
    """Finds prepared data by the data section of a config; for one thread."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def find(self, data: DataConfig) -> PreparedData | None:
        """The prepared data, or None when they must be drawn or decoded first.

        Raises:
            MedPeftError: the data cannot be used as they are.
        """
        entry = self._find_entry(data)
        return None if entry is None else entry.prepared

    def get(self, data: DataConfig) -> PreparedData:
        """The prepared data.

        Raises:
            DataError: they are not prepared, or cannot be used as they are.
        """
        prepared = self.find(data)
        if prepared is None:
            raise DataError(
                f"The data set {data.dataset!r} is not prepared at {data.cache_size} pixels. Prepare it on the Data "
                f"page, or run: {build_prepare_command(data)}"
            )
        return prepared

    def describe(self, data: DataConfig) -> SplitFacts | None:
        """What the splits hold, train cut down to the label fraction; None when the data are not prepared."""
        entry = self._find_entry(data)
        if entry is None:
            return None
        fraction = data.fraction, data.fraction_seed
        if fraction not in entry.facts:
            entry.facts[fraction] = describe_splits(entry.prepared, data)
        return entry.facts[fraction]

    def forget(self) -> None:
        """Look at the files again at the next question."""
        self._entries.clear()

    def _find_entry(self, data: DataConfig) -> _Entry | None:
        whole = replace(resolve_data(data), fraction=1.0, fraction_seed=0)  # these two change no file
        key = json.dumps(asdict(whole), sort_keys=True)
        entry = self._entries.pop(key, None)
        if entry is None or time.monotonic() - entry.found_at > KEEP_S:
            prepared = find_prepared(whole)
            if prepared is None:
                return None
            entry = _Entry(prepared=prepared, found_at=time.monotonic(), facts={})
        self._entries[key] = entry  # at the end: the one that was asked for longest ago is dropped first
        while len(self._entries) > MAX_KEPT:
            del self._entries[next(iter(self._entries))]
        return entry


def describe_splits(prepared: PreparedData, data: DataConfig) -> SplitFacts:
    """Count images, patients and labels of a data set, train cut down to the label fraction."""
    splits = split_data(prepared, data)
    train = splits["train"]
    counts = count_positives(train.manifest, np.arange(len(train)))
    table, notes = prepared.manifest.table, prepared.manifest.notes
    return SplitFacts(
        num_images={name: int((table["split"] == name).sum()) for name in splits},
        num_train_images=len(train),
        num_train_patients=len(set(train.manifest.patient_ids)) if train.manifest.has_patients else None,
        positives={str(label): _describe_label(row, len(train)) for label, row in counts.iterrows()},
        notes=tuple(note for note in notes if not is_doubt(note)),
        task=prepared.manifest.task,
        is_ordered=prepared.manifest.is_ordered,
        warnings=(*(note for note in notes if is_doubt(note)), *fraction_warnings(counts)),
    )


def _describe_label(row: Any, num_images: int) -> dict[str, int]:
    return {
        "num_positive": int(row["num_positive"]),
        "num_negative": int(row["num_negative"]),
        "num_unknown": num_images - int(row["num_images"]),
    }
