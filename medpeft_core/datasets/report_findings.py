"""What a data report says in words: each thing that was found, how much it matters, and what to do about it."""

from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.datasets.fractions import FEW_POSITIVES
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.report_relations import find_inseparable_labels, find_related_views
from medpeft_core.datasets.report_words import Finding, enumerate_all, has, its, join
from medpeft_core.datasets.splits import UNCHECKED_NOTE

SMALL_SPLIT = 100  # images of val or test, below which choices and results hang on a few
SHIFTED_FROM = 0.05  # difference of a label's prevalence between train and another split that is worth a warning
SHIFTED_Z = 4.0  # standard errors that it must be as well; more than usual, as images of a patient are alike
OLDEST_YEARS = 110
MANY_DUPLICATES = 0.01  # groups of identical images for each image, from which they come before most other warnings


def list_findings(manifest: Manifest, counts: dict[str, pd.DataFrame], facts: dict[str, Any]) -> list[Finding]:
    """Everything worth a sentence, the worst first: what stops training, then what can make results wrong (images seen
    in train, shortcuts), then what makes them rough, then what hardly matters.

    Args:
        manifest: of the data set.
        counts: split -> what `count_positives` gives.
        facts: `overlap`, `unreadable`, `duplicates` and `pixels` as a `DataReport` holds them, and `has_unreadable`:
            whether unreadable images are still in the manifest.
    """
    sizes = {name: int((manifest.table["split"] == name).sum()) for name in SPLITS}
    duplicates = _check_duplicates(facts["duplicates"])
    num_groups = facts["duplicates"]["num_groups_across"] + facts["duplicates"]["num_groups_within"]
    has_many = num_groups >= MANY_DUPLICATES * len(manifest) > 0
    found = [
        *_find_empty(sizes),
        *_check_patients(manifest, facts["overlap"]),
        *_check_files(facts["unreadable"], has_unreadable=facts["has_unreadable"]),
        *(duplicates if has_many else []),
        *find_related_views(manifest),
        *find_inseparable_labels(manifest),
        *_find_shift(counts, sizes),
        *_find_one_class(counts, sizes),
        *_find_few_positives(counts, sizes),
        *_find_small(sizes),
        *([] if has_many else duplicates),
        *_find_odd_ages(manifest),
        *_find_changes(facts["pixels"]),
        *(Finding(severity="note", text=note) for note in manifest.notes if note != UNCHECKED_NOTE),
    ]
    ranks = {"problem": 0, "warning": 1, "note": 2, "fine": 3}
    return sorted(found, key=lambda item: ranks[item.severity])


def list_advice(findings: list[Finding]) -> list[str]:
    """Problems and warnings as plain sentences."""
    worth = [item for item in findings if item.severity in ("problem", "warning")]
    return [f"{item.text} {item.advice}".strip() for item in worth]


def _find_empty(sizes: dict[str, int]) -> list[Finding]:
    advice = "Add images, or try another data.split_seed where the data set has no split of its own."
    return [
        Finding(
            severity="problem",
            text=f"There are no {name} images; training needs some in every split.",
            advice=advice,
        )
        for name, size in sizes.items()
        if size == 0
    ]


def _check_patients(manifest: Manifest, overlap: dict[str, Any]) -> list[Finding]:
    if not manifest.has_patients:
        advice = "Say so with every result, and take patient ids into the data set where they can be had."
        return [Finding(severity="warning", text=UNCHECKED_NOTE, advice=advice)]
    count = overlap["num_patients"]
    if not count:
        return [Finding(severity="fine", text="No patient is in more than one split.")]
    patients = "1 patient is" if count == 1 else f"{count} patients are"
    return [
        Finding(
            severity="problem",
            text=f"{patients} in more than one split, which makes results too good.",
            advice="Split anew with --set data.patient_overlap=resplit, or keep the split, knowing this, with --set "
            "data.patient_overlap=keep.",
        )
    ]


def _check_files(unreadable: dict[str, Any], *, has_unreadable: bool) -> list[Finding]:
    total, missing = unreadable["total"], unreadable["num_missing"]
    if not total:
        return [Finding(severity="fine", text="Every image is there and can be read.")]
    parts = [f"{count} {word}" for count, word in ((missing, "missing"), (total - missing, "damaged")) if count]
    images = "1 image" if total == 1 else f"{total} images"
    text = f"{images} cannot be read: {' and '.join(parts)}."
    if not has_unreadable:
        return [Finding(severity="note", text=f"{text} They were left out.")]
    advice = "Repair or remove the unreadable images, or train without them: --set data.unreadable=drop."
    return [Finding(severity="problem", text=text, advice=advice)]


def _check_duplicates(duplicates: dict[str, Any]) -> list[Finding]:
    across, within = duplicates["num_groups_across"], duplicates["num_groups_within"]
    found = []
    if across:
        found.append(
            Finding(
                severity="warning",
                text="Identical images lie in different splits: the model is tested on what it learned "
                f"({_groups(across)}).",
                advice="Remove one of each.",
            )
        )
    if within:
        found.append(
            Finding(
                severity="warning",
                text=f"Identical images lie in one split and count twice there ({_groups(within)}).",
                advice="Remove one of each unless that is intended.",
            )
        )
    return found or [Finding(severity="fine", text="No two images are identical.")]


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count} groups"


def _find_few_positives(counts: dict[str, pd.DataFrame], sizes: dict[str, int]) -> list[Finding]:
    """Labels that train cannot teach, and labels that val and test can hardly measure."""
    found = []
    if sizes["train"]:
        train = counts["train"]
        for kind, column in (("positive", "num_positive"), ("negative", "num_negative")):
            empty = [str(label) for label in train.index[train[column] == 0]]
            if empty:
                text = f"{join(empty)} {has(empty)} no {kind} image in train; the output stays, but cannot learn."
                found.append(
                    Finding(severity="warning", text=text, advice="Draw no conclusion about what it predicts.")
                )
        few = _list_few(train)
        if few:
            found.append(
                Finding(
                    severity="warning",
                    text=f"Few positive images in train: {few}.",
                    advice=f"Below {FEW_POSITIVES}, expect a label to be learned badly and to vary with the seed.",
                )
            )
    for name in ("val", "test"):
        few = _list_few(counts[name])
        if few:
            found.append(
                Finding(
                    severity="warning",
                    text=f"Few positive images in {name}: {few}.",
                    advice="Their AUROC there is rough; read it with its interval.",
                )
            )
    return found


def _list_few(counts: pd.DataFrame) -> str:
    few = counts[(counts["num_positive"] > 0) & (counts["num_positive"] < FEW_POSITIVES) & (counts["num_negative"] > 0)]
    return enumerate_all([f"{label} {int(number)}" for label, number in few["num_positive"].items()])


def _find_one_class(counts: dict[str, pd.DataFrame], sizes: dict[str, int]) -> list[Finding]:
    found = []
    for name in ("val", "test"):
        table = counts[name]
        labels = [str(label) for label in table.index[table[["num_positive", "num_negative"]].min(axis=1) == 0]]
        if sizes[name] and labels:
            found.append(
                Finding(
                    severity="warning",
                    text=f"{join(labels)} {has(labels)} only one class in {name}, so {its(labels)} AUROC cannot be "
                    "computed there.",
                )
            )
    return found


def _find_small(sizes: dict[str, int]) -> list[Finding]:
    consequences = {
        "val": "the best weights and the thresholds, which are chosen on it, hang on a few images.",
        "test": "intervals are wide and small differences between runs cannot be seen.",
    }
    return [
        Finding(
            severity="warning",
            text=f"{name.capitalize()} holds only {sizes[name]} images: {consequence}",
            advice="Repeat runs with several seeds before you trust a difference.",
        )
        for name, consequence in consequences.items()
        if 0 < sizes[name] < SMALL_SPLIT
    ]


def _find_shift(counts: dict[str, pd.DataFrame], sizes: dict[str, int]) -> list[Finding]:
    """Labels that are clearly more frequent in train than in val or test, or less."""
    found = []
    train = counts["train"]
    for name in ("val", "test"):
        if not sizes["train"] or not sizes[name]:
            continue
        other = counts[name]
        known = train["num_images"], other["num_images"]
        pooled: pd.Series = (train["num_positive"] + other["num_positive"]) / np.maximum(known[0] + known[1], 1)
        error = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(known[0], 1) + 1 / np.maximum(known[1], 1)))
        difference = (train["prevalence"] - other["prevalence"]).abs()
        is_shifted = (difference >= SHIFTED_FROM) & (difference > SHIFTED_Z * error)
        labels = [
            f"{label} {train['prevalence'][label]:.0%} and {other['prevalence'][label]:.0%}"
            for label in train.index[is_shifted]
        ]
        if labels:
            found.append(
                Finding(
                    severity="warning",
                    text=f"Labels are not equally frequent in train and {name}: {enumerate_all(labels)}.",
                    advice="AUROC bears that, but probabilities and thresholds may not fit; say so with the results.",
                )
            )
    return found


def _find_odd_ages(manifest: Manifest) -> list[Finding]:
    if "age" not in manifest.table:
        return []
    ages = manifest.table["age"].to_numpy(dtype=float)
    odd = ages[(ages > OLDEST_YEARS) | (ages < 0)]
    if not len(odd):
        return []
    images = "1 image states an age" if len(odd) == 1 else f"{len(odd)} images state ages"
    return [
        Finding(
            severity="warning",
            text=f"{images} that nobody can have, for example {odd[np.abs(odd).argmax()]:g} years.",
            advice="Treat ages with care; these are typing errors.",
        )
    ]


def _find_changes(pixels: dict[str, Any]) -> list[Finding]:
    count = pixels["num_changed_in_decoding"]
    if not count:
        return []
    images = "1 image was" if count == 1 else f"{count} images were"
    return [Finding(severity="note", text=f"{images} changed in decoding: {' '.join(pixels['changes'])}")]
