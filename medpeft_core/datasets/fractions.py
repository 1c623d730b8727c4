"""Small training sets inside larger ones: which patients a fraction takes, and what is left of each label."""

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.report_words import has, its, join
from medpeft_core.datasets.splits import hash_order

FEW_POSITIVES = 10
MAX_NAMED = 20  # labels in a sentence


def select_fraction(manifest_train: Manifest, fraction: float, *, seed: int) -> np.ndarray:
    """Rows of a seeded share of the training images, whole patients at a time.

    The patients get one random order, and the fraction takes them from its start until it has enough images. So for one
    seed a smaller fraction lies inside every larger one. The order comes from each patient's first image name, because
    patient ids are pseudonyms that differ from home to home: the same data give the same patients everywhere, whatever
    the order of the rows.

    Args:
        manifest_train: the training split.
        fraction: above 0 to 1; 1 takes all rows.
        seed: another seed, another order of the patients.

    Returns:
        (M,) sorted row positions: round(fraction * N) of them or up to one patient's images more, at least one patient.
    """
    num_images = len(manifest_train)
    if fraction >= 1 or num_images == 0:
        return np.arange(num_images)
    names = _image_names(manifest_train)
    first_names = pd.Series(names).groupby(manifest_train.patient_ids).transform("min").to_numpy(dtype=str)
    patients, patient_of_image, counts = np.unique(first_names, return_inverse=True, return_counts=True)
    order = hash_order(patients, seed)
    images_so_far = np.cumsum(counts[order])
    num_patients = int(np.searchsorted(images_so_far, max(1, round(fraction * num_images)))) + 1
    is_taken = np.zeros(len(patients), dtype=bool)
    is_taken[order[:num_patients]] = True
    return np.flatnonzero(is_taken[patient_of_image])


def count_positives(manifest: Manifest, rows: np.ndarray) -> pd.DataFrame:
    """What some rows know of each label.

    Returns:
        One row per label (the index) with `num_images` (label known), `num_positive`, `num_negative` and `prevalence`,
        the share of positives among the known, NaN where none is known.
    """
    targets = manifest.targets()[rows]  # (M, K)
    num_known = (~np.isnan(targets)).sum(axis=0)
    num_positive = (targets == 1).sum(axis=0)
    prevalence = np.full(len(manifest.labels), np.nan)
    np.divide(num_positive, num_known, out=prevalence, where=num_known > 0)
    columns = {"num_images": num_known, "num_positive": num_positive, "num_negative": num_known - num_positive}
    return pd.DataFrame({**columns, "prevalence": prevalence}, index=pd.Index(manifest.labels, name="label"))


def fraction_warnings(counts: pd.DataFrame) -> list[str]:
    """Up to three sentences on the labels that a training set cannot teach well.

    Args:
        counts: what `count_positives` gave for the training rows.
    """
    has_none = {kind: counts[f"num_{kind}"] == 0 for kind in ("positive", "negative")}
    has_none["negative"] &= ~has_none["positive"]  # said once where nothing is known of a label
    sentences = [_tell_none(counts.index[is_so].tolist(), kind) for kind, is_so in has_none.items() if is_so.any()]
    few = counts[(counts["num_positive"] < FEW_POSITIVES) & ~has_none["positive"] & ~has_none["negative"]]
    if len(few):
        numbers = ", ".join(f"{label} {int(number)}" for label, number in few["num_positive"][:MAX_NAMED].items())
        numbers += f" and {len(few) - MAX_NAMED} more" if len(few) > MAX_NAMED else ""
        consequence = "expect such labels to be learned badly and to vary with the seed"
        sentences.append(f"Few positive images in this training set: {numbers}; {consequence}.")
    return sentences


def _tell_none(labels: list[str], kind: str) -> str:
    outputs = "output stays" if len(labels) == 1 else "outputs stay"
    further = [f"{len(labels) - MAX_NAMED} more"] if len(labels) > MAX_NAMED else []
    named = join([*labels[:MAX_NAMED], *further])
    return f"{named} {has(labels)} no {kind} image in this training set; {its(labels)} {outputs}, but cannot learn."


def _image_names(manifest: Manifest) -> np.ndarray:
    """File names without folders where these are unique, so that moving images into sub-folders changes no fraction."""
    paths = manifest.table["image"].to_numpy(dtype=str)
    names = np.array([path.rpartition("/")[2] for path in paths.tolist()])
    return names if len(np.unique(names)) == len(names) else paths
