"""The positives of each label among the test images of a run, and the warning where they are too few."""

from collections.abc import Sequence

import streamlit as st

from medpeft_core.reports.support import Support, load_support
from medpeft_core.runs.run import Run
from pages.widgets.prediction_marks import mark_predictions
from pages.widgets.wording import escape_markdown


def read_support(run: Run) -> dict[str, Support]:
    """Of one run; read again only when its predictions have changed.

    Raises:
        RunError: the predictions are missing or damaged.
    """
    return _read_support(run, run.run_id, mark_predictions(run))


def draw_cautions(cautions: Sequence[str], *, is_exclusive: bool = False) -> None:
    """One warning of all of them; nothing where there are none."""
    if cautions:
        title = "Rare classes" if is_exclusive else "Rare labels"
        st.warning("  \n".join(map(escape_markdown, cautions)), title=title, icon=":material/balance:")


@st.cache_data(show_spinner=False, max_entries=64)
def _read_support(_run: Run, run_id: str, mark: tuple[int, int]) -> dict[str, Support]:
    return load_support(_run)
