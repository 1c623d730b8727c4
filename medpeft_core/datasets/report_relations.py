"""What a model may learn in the place of a finding: labels that go with the view, and labels that go together."""

import numpy as np

from medpeft_core.datasets.fractions import FEW_POSITIVES
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.report_words import Finding, enumerate_all, join

MIN_GROUP = 50  # images of a view, below which its share of a label says little
CONFOUNDED_FROM = 0.1  # difference of a label's prevalence between two views that is worth a warning


def find_related_views(manifest: Manifest) -> list[Finding]:
    """Warn of labels that are much more frequent in one common view than in the other: a shortcut to learn."""
    if "view" not in manifest.table:
        return []
    counts = manifest.table["view"].value_counts()
    common = [str(view) for view in counts.index[counts >= MIN_GROUP][:2]]
    if len(common) < 2:
        return []
    by_view = manifest.table.groupby("view")[list(manifest.labels)].mean().loc[common]
    differences = (by_view.iloc[0] - by_view.iloc[1]).abs().sort_values(ascending=False)
    related = [str(label) for label in differences.index[differences >= CONFOUNDED_FROM]]
    if not related:
        return []
    shares = [f"{label} {by_view[label].iloc[0]:.0%} and {by_view[label].iloc[1]:.0%}" for label in related]
    return [
        Finding(
            severity="warning",
            text=f"View and label are related. Positive in {common[0]} and {common[1]} images: "
            f"{enumerate_all(shares)}.",
            advice="A model can learn the view instead of the finding; compare results within each view.",
        )
    ]


def find_inseparable_labels(manifest: Manifest) -> list[Finding]:
    """Warn of labels that never occur without a certain other one, as far as both are known.

    Labels with fewer than 10 positive images are passed over, since so few may coincide by chance, and so is a label
    that all images have.
    """
    targets, labels = manifest.targets(), manifest.labels
    is_positive, is_known = targets == 1, ~np.isnan(targets)
    num_both = is_positive.T.astype(np.int64) @ is_positive  # (K, K)
    num_known = is_positive.T.astype(np.int64) @ is_known  # (K, K), of the images with the row's label
    is_always = (num_both == num_known) & (num_known >= FEW_POSITIVES)
    is_always &= ~np.eye(len(labels), dtype=bool)
    is_always[:, (is_positive | ~is_known).all(axis=0)] = False
    is_mutual = is_always & is_always.T
    found = [_tell_twins(labels[a], labels[b], int(num_both[a, b])) for a, b in np.argwhere(np.triu(is_mutual))]
    for column, partner in enumerate(labels):
        companions = [int(row) for row in np.flatnonzero(is_always[:, column] & ~is_mutual[:, column])]
        if companions:
            has_other = np.delete(is_positive, column, axis=1).any(axis=1) & is_known[:, column]
            is_all = len(companions) > 1 and bool(is_positive[has_other, column].all())
            names = [f"{labels[row]} ({num_both[row, column]:,})" for row in companions]
            all_of_them = f"Each of the {int(has_other.sum()):,} images with any other label"
            found.append(_tell_companion(all_of_them if is_all else f"Every image with {join(names, 'or')}", partner))
    return found


def _tell_twins(label: str, other: str, num_images: int) -> Finding:
    return Finding(
        severity="warning",
        text=f"{label} and {other} are always positive together (in {num_images:,} images).",
        advice="No model can learn from these data to tell them apart.",
    )


def _tell_companion(subject: str, partner: str) -> Finding:
    return Finding(
        severity="warning",
        text=f"{subject} is also {partner}.",
        advice=f"A model may call {partner} whenever it sees another finding; do not read its result as that of "
        f"{partner} alone.",
    )
