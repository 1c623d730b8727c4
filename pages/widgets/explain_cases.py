"""Which test image to look at, and which label to explain; the choice lives in the address beside the run."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from medpeft_core.reports.predictions import CASES, Predictions, choose_labels, load_predictions, sort_cases
from medpeft_core.runs.run import Run

CASE_HELP = (
    "Judged at the thresholds that were chosen on the validation images. Found: the finding is there and was called, "
    "most probable first. Most wrong: wrong calls, those furthest from the threshold first. Missed: the finding is "
    "there and was not called, least probable first."
)
LABEL_HELP = (
    "The map and the choice of images are about this label. Left empty, they are about the most probable true label of "
    "each image, or the most probable one where no finding is known."
)


LABEL_WIDTH = 220  # pixels


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image to explain.

    Attributes:
        row: its row in the predictions, counted from 0.
        image: its name in the manifest.
        label: the label to explain.
        position: where it stands among the images that pass the filter, counted from 0.
        num_cases: how many do.
    """

    row: int
    image: str
    label: str
    position: int
    num_cases: int


def read_predictions(run: Run) -> Predictions:
    """The test predictions of a run, kept in memory as long as the file stays as it is.

    Raises:
        RunError: there are none, or the file is damaged.
    """
    path = run.predictions_dir / "test.parquet"
    changed_ns = path.stat().st_mtime_ns if path.exists() else 0
    return _read_predictions(run, run.run_id, changed_ns)


@st.cache_resource(show_spinner=False, max_entries=4)
def _read_predictions(_run: Run, run_id: str, changed_ns: int) -> Predictions:
    return load_predictions(_run, "test")


def choose_case(predictions: Predictions) -> Case | None:
    """Let the reader filter and page through the images.

    Returns:
        The image of the moment; None when no image fits the filter, which is said.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        case, label = _choose_filter(predictions)
        rows = sort_cases(predictions, case, label)
        position = _find_position(rows)
        if position is not None:
            with st.container(horizontal=True, gap="small", width="content"):
                _draw_step("Previous", rows, position - 1, icon=":material/arrow_back:", shortcut="Left")
                _draw_step("Next", rows, position + 1, icon=":material/arrow_forward:", shortcut="Right")
    if position is None:
        _draw_no_case(case, label, predictions)
        return None
    row = int(rows[position])
    st.query_params["image"] = str(row + 1)
    own = predictions.labels[choose_labels(predictions)[row]]
    image = str(predictions.table["image"].iloc[row])
    return Case(row=row, image=image, label=label or own, position=position, num_cases=len(rows))


def _choose_filter(predictions: Predictions) -> tuple[str, str | None]:
    """Case and label; the address decides, also after a link or a step back."""
    case, label = st.query_params.get("show"), st.query_params.get("label")
    st.session_state["explain_case"] = case if case in CASES else "all"
    st.session_state["explain_label"] = label if label in predictions.labels else None
    chosen_case = st.segmented_control(
        "Images",
        list(CASES),
        format_func=CASES.__getitem__,
        key="explain_case",
        required=True,
        help=CASE_HELP,
        on_change=_follow,
        args=("explain_case", "show"),
    )
    chosen_label = st.selectbox(
        "Label to explain",
        predictions.labels,
        index=None,
        key="explain_label",
        placeholder="Each image's own",
        width=LABEL_WIDTH,
        help=LABEL_HELP,
        on_change=_follow,
        args=("explain_label", "label"),
    )
    return chosen_case, chosen_label


def _find_position(rows: np.ndarray) -> int | None:
    """Where in the list the image of the address stands, the first when it is not there; None for an empty list."""
    if len(rows) == 0:
        return None
    found = np.flatnonzero(rows == _read_number("image") - 1)
    return int(found[0]) if len(found) else 0


def _follow(key: str, parameter: str) -> None:
    """Write a choice into the address."""
    chosen = st.session_state[key]
    if chosen is None or chosen == "all":
        st.query_params.pop(parameter, None)
    else:
        st.query_params[parameter] = chosen


def _draw_step(label: str, rows: np.ndarray, position: int, *, icon: str, shortcut: str) -> None:
    is_there = 0 <= position < len(rows)
    st.button(
        label,
        key=f"explain_{label.lower()}",
        icon=icon,
        shortcut=shortcut,
        disabled=not is_there,
        on_click=_go,
        args=(int(rows[position]) if is_there else 0,),
    )


def _go(row: int) -> None:
    st.query_params["image"] = str(row + 1)


def _read_number(parameter: str) -> int:
    """A whole number from the address; 0 for anything else."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _draw_no_case(case: str, label: str | None, predictions: Predictions) -> None:
    if label is not None and predictions.thresholds[label] is None:
        text = "The validation images gave no threshold for this label, so calls cannot be told right from wrong."
    else:
        text = f"No test image is under “{CASES[case]}” for this choice of label."
    st.info(f"{text} Choose another label, or “{CASES['all']}”.", icon=":material/filter_alt_off:")
