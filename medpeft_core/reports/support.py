"""What the figures of a test set rest on: positive images and patients of each label, resamplings that count. Light.

A resampling of the patients in which a label lacks one of its classes has no mean over the labels and is left out. With
rare labels these are many, and readers must be told, as the remaining ones are not drawn by chance alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medpeft_core.errors import RunError
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.runs.run import Run

MIN_POSITIVE_IMAGES, MIN_POSITIVE_PATIENTS = 10, 5  # with fewer, one image or patient more would change the figure
MAX_NAMED = 4  # rare labels in a sentence that has something else to say


class Support(NamedTuple):
    """The positives of one label in a split; `num_patients` is None where patients are not known."""

    num_images: int
    num_patients: int | None

    @property
    def is_thin(self) -> bool:
        """Whether its figures rest on too little to be trusted; a label without a positive has no figures at all."""
        has_few_patients = self.num_patients is not None and self.num_patients < MIN_POSITIVE_PATIENTS
        return self.num_images > 0 and (self.num_images < MIN_POSITIVE_IMAGES or has_few_patients)


def load_support(run: Run) -> dict[str, Support]:
    """Label to its positives among the test images of an evaluated run.

    Raises:
        RunError: the run was not evaluated, or its predictions are damaged.
    """
    predictions = load_predictions(run, "test")
    patients = predictions.table["patient_id"]
    known = patients.to_numpy(dtype=str) if patients.notna().all() else None
    return count_positives(predictions.targets(), predictions.labels, known)


def count_positives(targets: np.ndarray, labels: Sequence[str], patients: np.ndarray | None) -> dict[str, Support]:
    """Label to its positives.

    Args:
        targets: (N, K) 0, 1 or NaN where unknown.
        labels: the K labels.
        patients: (N,) ids; None where they are not known.
    """
    found = {}
    for k, label in enumerate(labels):
        is_positive = targets[:, k] == 1
        num_patients = None if patients is None else len(np.unique(patients[is_positive]))
        found[label] = Support(int(is_positive.sum()), num_patients)
    return found


def find_thin(support: Mapping[str, Support]) -> dict[str, Support]:
    """The labels with too few positives, those with the fewest patients first."""
    thin = [(label, item) for label, item in support.items() if item.is_thin]
    return dict(sorted(thin, key=lambda pair: (pair[1].num_patients or 0, pair[1].num_images)))


def describe_thin(support: Mapping[str, Support]) -> str | None:
    """A caution that names the labels with too few positives; None when there are none."""
    thin = find_thin(support)
    if not thin:
        return None
    return (
        f"Few positive test images, so these figures may be chance, whatever their intervals say: {_list_labels(thin)}."
    )


def describe_resamplings(counts: Iterable[tuple[int, int]]) -> str:
    """How many resamplings stand behind an interval of the mean over labels, as part of a sentence.

    Args:
        counts: for each run or pair, how many were drawn and how many had a value; one at least.
    """
    counts = list(counts)
    drawn = " or ".join(f"{number:,}" for number in sorted({drawn for drawn, _ in counts}))
    if all(drawn == valid for drawn, valid in counts):
        return f"{drawn} resamplings"
    few, many = min(valid for _, valid in counts), max(valid for _, valid in counts)
    valid = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return (
        f"{drawn} resamplings, of which {valid} had images of both classes for every label; the others could not be "
        "counted"
    )


def describe_shortage(counts: Iterable[tuple[int, int]], support: Mapping[str, Support]) -> str | None:
    """A caution where less than half of the resamplings could be counted, with the rare labels; else None.

    Args:
        counts: as for `describe_resamplings`.
        support: of the test images; may be empty.
    """
    if all(2 * valid >= drawn for drawn, valid in counts):
        return None
    thin = find_thin(support)
    named = f"; rare labels: {_list_labels(thin, MAX_NAMED)}" if thin else ""
    return f"Less than half of the resamplings could be counted, so the interval of the mean may be too narrow{named}."


def describe_class_means(test: Mapping[str, Any]) -> str | None:
    """How many resamplings stand behind the intervals of macro F1 and balanced accuracy; None where all could count.

    Args:
        test: figures of a split, as metrics.json holds them.
    """
    drawn, valid = test.get("bootstrap_samples"), test.get("num_valid_samples")
    if test.get("reason"):
        return f"Macro F1 and balanced accuracy have no intervals: {test['reason']}."
    if not drawn or valid is None or valid == drawn:
        return None
    return (
        f"Intervals of macro F1 and balanced accuracy: of {drawn:,} resamplings, {valid:,} held every class; the "
        "others could not be counted."
    )


def list_cautions(test: Mapping[str, Any], support: Mapping[str, Support]) -> list[str]:
    """What makes the test figures of one run doubtful: rare labels, and resamplings that could not be counted.

    Args:
        test: figures of the split, as metrics.json holds them.
        support: of the test images; may be empty.
    """
    macro = test.get("macro") or {}
    drawn, valid = test.get("bootstrap_samples"), macro.get("num_valid_samples")
    counts = [(drawn, valid)] if drawn and valid is not None else []
    class_means = describe_class_means(test) if test.get("reason") else None
    return [text for text in (describe_thin(support), describe_shortage(counts, {}), class_means) if text]


def find_cautions(run: Run) -> list[str]:
    """`list_cautions` of a run: none before its end, and not of rare labels where its predictions are gone."""
    test = (run.metrics() or {}).get("test")
    if not test:
        return []
    try:
        support = load_support(run)
    except RunError:
        support = {}
    return list_cautions(test, support)


def describe_support(label: str, support: Support) -> str:
    """ "Hernia 3 positive images of 1 patient"."""
    images = f"{support.num_images:,} positive {'image' if support.num_images == 1 else 'images'}"
    if support.num_patients is None:
        return f"{label} {images}"
    return f"{label} {images} of {support.num_patients:,} {'patient' if support.num_patients == 1 else 'patients'}"


def _list_labels(support: Mapping[str, Support], limit: int | None = None) -> str:
    texts = [
        describe_support(label, item) if at == 0 else _write_short(label, item)
        for at, (label, item) in enumerate(support.items())
    ]
    if limit is None or len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"


def _write_short(label: str, support: Support) -> str:
    """As the first of a list is written, without the words: Mass 2 of 2."""
    of_patients = "" if support.num_patients is None else f" of {support.num_patients:,}"
    return f"{label} {support.num_images:,}{of_patients}"
