"""The positive test images and patients of each label, where the compared runs share their test images."""

from collections.abc import Sequence

from medpeft_core.reports.support import Support
from pages.widgets.compare_runs import ComparedRun, find_caveats
from pages.widgets.rare_labels import read_support


def read_shared_support(runs: Sequence[ComparedRun]) -> dict[str, Support] | None:
    """Label to its positives; None for runs that were tested on different images.

    Args:
        runs: with test figures.

    Raises:
        RunError: the predictions are missing or damaged.
    """
    if find_caveats(runs):
        return None
    found = [read_support(item.run) for item in runs]
    return found[0] if all(item == found[0] for item in found) else None
