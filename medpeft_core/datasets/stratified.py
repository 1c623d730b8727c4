"""Dealing patients to parts so that each part gets its share of the images and of every label's positives. Light.

After Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011, with patients in the
place of examples: the rarest label is dealt first, and each of its patients goes to the part that lacks most of it.
scikit-learn's StratifiedGroupKFold knows one class an image and equal folds; benchmarks/README.md has both beside each
other.
"""

import numpy as np
import pandas as pd

from medpeft_core.datasets.splits import fill_empty_parts, hash_order

_DIGITS = 6  # needs that differ by less are equal: sums of shares are not exact


def deal_patients(
    images: np.ndarray, patient_ids: np.ndarray, targets: np.ndarray, *, shares: tuple[float, ...], seed: int
) -> np.ndarray:
    """Give every image a part, all images of a patient the same.

    A patient is known by the first name among the patient's images, because ids may be pseudonyms; so neither ids nor
    the order of the rows play a part. With at least as many patients as parts with a share, none of these is empty.

    Args:
        images: (N,) unique names.
        patient_ids: (N,) patient of each image.
        targets: (N, K) 0, 1 or NaN; only the ones count.
        shares: of the P parts, 0 or more; they are scaled to sum 1.
        seed: another seed, another order of the patients.

    Returns:
        (N,) int64, 0 to P - 1.
    """
    names = pd.Series(images.astype(str)).groupby(patient_ids).transform("min").to_numpy(dtype=str)
    patients, patient_of_image, sizes = np.unique(names, return_inverse=True, return_counts=True)
    order = hash_order(patients, seed)
    positives = np.zeros((len(patients), targets.shape[1] + 1), dtype=np.int32)  # the last column counts images
    np.add.at(positives[:, :-1], patient_of_image, targets == 1)
    positives[:, -1] = sizes
    part_in_order = _deal(positives[order], np.asarray(shares) / sum(shares))
    fill_empty_parts(part_in_order, shares)
    part_of_patient = np.empty(len(patients), dtype=np.int64)
    part_of_patient[order] = part_in_order
    return part_of_patient[patient_of_image]


def _deal(positives: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Part of each of the patients, who come in random order.

    Args:
        positives: (M, K + 1) positive images of each label, then all images.
        shares: (P,) of sum 1.
    """
    num_patients, num_columns = positives.shape
    parts = np.full(num_patients, -1, dtype=np.int64)
    wanted = np.outer(shares, positives.sum(axis=0))  # (P, K + 1)
    lacking = wanted.tolist()
    relative = [[1 / max(want, 1e-9) for want in row] for row in wanted.tolist()]
    possible = [part for part, share in enumerate(shares) if share > 0]
    left = positives.sum(axis=0)
    everyone = num_columns - 1
    while (parts < 0).any():
        rest = left[:-1]
        label = int(np.where(rest > 0, rest, rest.max(initial=0) + 1).argmin()) if rest.any() else everyone
        rows = np.flatnonzero((parts < 0) & (positives[:, label] > 0))
        dealt = positives[rows]
        columns = [np.flatnonzero(row).tolist() for row in dealt] if label != everyone else [[everyone]] * len(rows)
        for row, own, counts in zip(rows.tolist(), columns, dealt.tolist(), strict=True):
            best = max(possible, key=lambda part: _rank(lacking[part], relative[part], label, everyone))
            parts[row] = best
            for column in own:
                lacking[best][column] -= counts[column]
        left = left - dealt.sum(axis=0)
    return parts


def _rank(lacking: list[float], relative: list[float], label: int, everyone: int) -> tuple[float, float, float]:
    """What a part lacks of a label, as a number and as a share of what it wants, and of images."""
    return (
        round(lacking[label], _DIGITS), round(lacking[label] * relative[label], _DIGITS),
        round(lacking[everyone], _DIGITS),
    )  # fmt: skip
