"""What a run on exclusive classes took for what on test: the confusion matrix, its commonest mistakes, to save."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.figures.confusion import build_confusion_chart, measure_width
from medpeft_core.reports.class_cases import ConfusionMatrix, build_confusion, find_confused
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.runs.run import Run
from pages.widgets.chart_ink import add_ink
from pages.widgets.chart_saving import draw_chart_head
from pages.widgets.prediction_marks import mark_predictions
from pages.widgets.wording import escape_markdown

MAX_CLASSES = 30  # rows and columns that can still be read
MAX_CONTAINED = 6  # classes up to which every screen is wide enough
MAX_MISTAKES = 3
MIN_WIDTH = 480  # pixels, of a chart that is as wide as its cells need


def draw_confusion(run: Run, metrics: dict[str, Any], *, key: str) -> None:
    """The matrix of the test images; where their predictions are gone, that."""
    try:
        matrix, complete = read_confusion(run)
    except RunError as error:
        st.warning(escape_markdown(str(error)), title="No confusion matrix", icon=":material/grid_off:")
        return
    spec = build_confusion_chart(matrix.rows(), matrix.labels)
    draw_chart_head(
        "Confusion matrix",
        lambda: spec,
        key=f"{key}_confusion",
        is_synthetic=bool(metrics.get("is_synthetic")),
        saved_title=f"Confusion matrix on test, {run.run_id}",
        complete=lambda _: complete,
    )
    num_shown = len(matrix.labels)
    is_wide = num_shown > MAX_CONTAINED
    with st.container(key="monitor_confusion_scroll"):
        st.vega_lite_chart(
            add_ink(spec | {"width": max(measure_width(num_shown), MIN_WIDTH)} if is_wide else spec),
            key=f"{key}_confusion",
            width="content" if is_wide else "stretch",
            alt=f"Confusion matrix of {num_shown} classes on test. {describe_mistakes(matrix)}",
        )
    words = [
        "A row for each true class, a column for each class that was likeliest; numbers of test images and, by the "
        "colour, the share of the row.",
        escape_markdown(describe_mistakes(matrix)),
    ]
    if num_shown < matrix.num_classes:
        words.append(
            f"The {num_shown} largest of {matrix.num_classes:,} classes are shown; {matrix.num_elsewhere:,} images are "
            "of another class or were taken for one. The saved table has them all."
        )
    st.caption(" ".join(words))


def describe_mistakes(matrix: ConfusionMatrix) -> str:
    """The commonest mistakes as a sentence."""
    found = find_confused(matrix, MAX_MISTAKES)
    if not found:
        return "No image was taken for another class."
    listed = ", ".join(f"{true} taken for {called} ({number:,})" for true, called, number in found)
    return f"Commonest mistakes: {listed}."


def read_confusion(run: Run) -> tuple[ConfusionMatrix, pd.DataFrame]:
    """What is shown, and the cells of all classes that hold an image; read again only when the predictions change."""
    return _read_confusion(run, run.run_id, mark_predictions(run))


@st.cache_data(show_spinner=False, max_entries=32)
def _read_confusion(_run: Run, run_id: str, mark: tuple[int, int]) -> tuple[ConfusionMatrix, pd.DataFrame]:
    predictions = load_predictions(_run, "test")
    whole = build_confusion(predictions, max_classes=len(predictions.labels))
    cells = whole.rows(with_empty=len(predictions.labels) <= MAX_CLASSES)
    complete = pd.DataFrame(cells, columns=["true", "called", "num_images", "share"])
    return build_confusion(predictions, max_classes=MAX_CLASSES), complete
