"""Where two runs that were tested on the same images call them differently. Light."""

from dataclasses import dataclass

import numpy as np

from medpeft_core.errors import RunError
from medpeft_core.reports.predictions import Predictions
from medpeft_core.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two runs on the images that both were tested on.

    Attributes:
        labels: the labels that both know, in the order of the first.
        partners: (N,) for each row of the first its row in the second, -1 where that lacks the image.
        notes: sentences on what only one of them has.
    """

    first: Predictions
    second: Predictions
    labels: tuple[str, ...]
    partners: np.ndarray
    notes: tuple[str, ...]


def pair_predictions(first_run: Run, first: Predictions, second_run: Run, second: Predictions) -> Pair:
    """Match the test images and labels of two runs.

    Raises:
        RunError: they cannot be laid beside each other: other data, no common image, or no common label.
    """
    sections = [run.config().data for run in (first_run, second_run)]
    places = [(data.dataset, data.root, data.options) for data in sections]
    if places[0] != places[1]:
        what = f"{sections[0].dataset} and {sections[1].dataset}"
        if sections[0].dataset == sections[1].dataset:
            what = f"{sections[0].dataset} with other options or from another folder"
        raise RunError(f"The two runs were tested on different data: {what}. Choose a second run on the same data.")
    labels = tuple(label for label in first.labels if label in second.labels)
    if first.task != second.task:
        raise RunError(
            "One of the two runs tells exclusive classes apart, the other independent labels, so their answers cannot "
            "be laid beside each other. Choose a second run that was trained on the same labels."
        )
    if not labels:
        raise RunError("The two runs know no label in common. Choose a second run with the same labels.")
    rows = {name: row for row, name in enumerate(second.table["image"])}
    partners = np.array([rows.get(name, -1) for name in first.table["image"]], dtype=np.int64)
    num_shared = int((partners >= 0).sum())
    if num_shared == 0:
        raise RunError(
            "The two runs have no test image in common: their patients were split differently. Choose a second run "
            "with the same split seed."
        )
    notes = []
    if num_shared < max(len(first.table), len(second.table)):
        notes.append(
            f"The test sets differ: {len(first.table)} and {len(second.table)} images, {num_shared} of them in both. "
            "Only these can be looked at side by side."
        )
    only = [label for label in (*first.labels, *second.labels) if label not in labels]
    if only:
        notes.append(f"Known to one of the runs only: {', '.join(only)}.")
    return Pair(first=first, second=second, labels=labels, partners=partners, notes=tuple(notes))


def sort_disagreements(pair: Pair, label: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images on which the calls of two runs differ: each at its own threshold from val, or their likeliest classes.

    Args:
        pair: the runs.
        label: the label to judge by; None: any of the common ones.

    Returns:
        Rows of the first run, (M,), those whose probabilities differ most first; and for each the number, among the
        labels of the first run, of the label that they differ on, (M,). Both are empty for a label that one lacks.
    """
    empty = np.zeros(0, dtype=np.int64)
    labels = pair.labels if label is None else tuple(name for name in pair.labels if name == label)
    rows = np.flatnonzero(pair.partners >= 0)
    if not labels or len(rows) == 0:
        return empty, empty
    if pair.first.is_exclusive:
        return _sort_classes(pair, rows, label)
    first, second = (_gather(item, labels) for item in (pair.first, pair.second))
    probs = first[0][rows], second[0][pair.partners[rows]]  # (M, K) each
    has_both = ~np.isnan(first[1]) & ~np.isnan(second[1])  # (K,)
    differs = ((probs[0] >= first[1]) != (probs[1] >= second[1])) & has_both
    distance = np.where(differs, np.abs(probs[0] - probs[1]), -1.0)  # (M, K)
    column, largest = distance.argmax(axis=1), distance.max(axis=1)
    order = np.argsort(-largest, kind="stable")
    order = order[largest[order] >= 0]
    own = np.array([pair.first.labels.index(name) for name in labels])
    return rows[order], own[column[order]]


def _sort_classes(pair: Pair, rows: np.ndarray, label: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The same for exclusive classes: with a label, images that one run calls so and the other not."""
    partners = pair.partners[rows]
    names = [np.array(item.labels, dtype=object) for item in (pair.first, pair.second)]
    called = names[0][pair.first.called_classes()[rows]], names[1][pair.second.called_classes()[partners]]
    differs = called[0] != called[1]
    if label is not None:
        differs &= (called[0] == label) | (called[1] == label)
    rows, partners = rows[differs], partners[differs]
    own = pair.first.called_classes()[rows]
    if label is not None:
        own = np.full(len(rows), pair.first.labels.index(label))
    columns = {name: k for k, name in enumerate(pair.second.labels)}
    there = np.array([columns.get(name, -1) for name in pair.first.labels])[own]
    second = np.where(there >= 0, pair.second.probs()[partners, there], 0.0)
    distance = np.abs(pair.first.probs()[rows, own] - second)
    order = np.argsort(-distance, kind="stable")
    return rows[order], own[order]


def _gather(predictions: Predictions, labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K) and thresholds (K,), NaN where there is none, of some labels."""
    columns = [predictions.labels.index(label) for label in labels]
    thresholds = np.array([predictions.thresholds[label] for label in labels], dtype=np.float64)
    return predictions.probs()[:, columns], thresholds
