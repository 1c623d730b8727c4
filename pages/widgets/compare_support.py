"""The positive test images and patients of each label, where the compared runs share their test images."""

from collections.abc import Sequence

import streamlit as st

from medpeft_core.reports.support import Support, load_support
from medpeft_core.runs.run import Run
from pages.widgets.compare_runs import ComparedRun, find_caveats
from pages.widgets.prediction_marks import mark_predictions


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


def read_support(run: Run) -> dict[str, Support]:
    """Of one run; read again only when its predictions have changed."""
    return _read_support(run, run.run_id, mark_predictions(run))


@st.cache_data(show_spinner=False, max_entries=64)
def _read_support(_run: Run, run_id: str, mark: tuple[int, int]) -> dict[str, Support]:
    return load_support(_run)
