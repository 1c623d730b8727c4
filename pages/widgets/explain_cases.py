"""Which test image to look at, and which label to explain; the choice lives in the address beside the runs."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from medpeft_core.reports.disagreements import sort_disagreements
from medpeft_core.reports.predictions import CASES, Predictions, choose_labels, sort_all_cases
from pages.widgets.explain_run import Chosen
from pages.widgets.wording import escape_markdown

DISAGREE = "disagree"
CASE_WORDS = {
    "all": "In the order of the data set.",
    "present": "The finding is there; most probable first.",
    "found": "The finding is there and the model says so; most probable first.",
    "missed": "The finding is there, and the model says no; least probable first.",
    "alarm": "The finding is not there, but the model says so; most probable first.",
    "right": "The model's call is right; those furthest from its threshold first.",
    "wrong": "The model's call is wrong; those furthest from its threshold first.",
    DISAGREE: "One run says yes and the other no; those whose probabilities differ most first.",
}
CASE_HELP = "Calls are made at the thresholds that were chosen on the validation images."
LABEL_HELP = (
    "The map and the choice of images are about this label. Left empty, they are about the most probable true label of "
    "each image, or the most probable one where no finding is known."
)
CASE_WIDTH, LABEL_WIDTH, JUMP_WIDTH = 270, 200, 115  # pixels


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image to explain.

    Attributes:
        row: its row in the first run's predictions, counted from 0.
        image: its name in the manifest.
        label: the label to explain.
        position: where it stands among the images that pass the filter, counted from 0.
        num_cases: how many do.
        following: name and label of the next image among them; None at the end.
    """

    row: int
    image: str
    label: str
    position: int
    num_cases: int
    following: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class _List:
    """The images of one choice: their rows, and the number of the label that each is looked at for."""

    rows: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def choose_case(chosen: Chosen) -> Case | None:
    """Let the reader filter and page through the images.

    Returns:
        The image of the moment; None when no image fits the filter, which is said.
    """
    label = _read_label(chosen.predictions)
    lists = list_images(chosen, label)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        case = _choose_case({name: len(images) for name, images in lists.items()})
        _choose_label(chosen.predictions)
        images = lists[case]
        position = _find_position(images.rows)
        if position is not None:
            with st.container(horizontal=True, gap="small", width="content", vertical_alignment="bottom"):
                _draw_step("Previous", images.rows, position - 1, icon=":material/arrow_back:", shortcut="Left")
                _draw_jump(images.rows, position)
                _draw_step("Next", images.rows, position + 1, icon=":material/arrow_forward:", shortcut="Right")
    if position is None:
        _draw_no_case(case, label, chosen.predictions)
        return None
    st.caption(f"{CASE_WORDS[case]} The arrow keys ← and → turn the pages.")
    st.query_params["image"] = str(int(images.rows[position]) + 1)
    found = [_find_image(chosen.predictions, images, number) for number in (position, position + 1)]
    image, shown_label = found[0] or ("", "")
    return Case(
        row=int(images.rows[position]), image=image, label=shown_label,
        position=position, num_cases=len(images), following=found[1],
    )  # fmt: skip


def list_images(chosen: Chosen, label: str | None) -> dict[str, _List]:
    """For each choice of images the rows, those worth a look first, and what each is looked at for."""
    predictions = chosen.predictions
    own = (
        choose_labels(predictions)
        if label is None
        else np.full(len(predictions.table), predictions.labels.index(label))
    )
    lists = {
        case: _List(rows=rows, labels=own[rows] if len(rows) else rows)
        for case, rows in sort_all_cases(predictions, label).items()
    }
    if chosen.pair is not None:
        rows, labels = sort_disagreements(chosen.pair, label)
        lists[DISAGREE] = _List(rows=rows, labels=labels)
    return lists


def _find_image(predictions: Predictions, images: _List, position: int) -> tuple[str, str] | None:
    """Name and label of the image at a position of the list."""
    if position >= len(images):
        return None
    name = str(predictions.table["image"].iloc[int(images.rows[position])])
    return name, predictions.labels[int(images.labels[position])]


def _choose_case(counts: dict[str, int]) -> str:
    """Which images; the address decides, also after a link or a step back."""
    names = {**CASES, DISAGREE: "The two runs disagree"}
    wanted = st.query_params.get("show")
    st.session_state["explain_case"] = wanted if wanted in counts else "all"
    return st.selectbox(
        "Images",
        list(counts),
        format_func=lambda case: f"{names[case]} ({counts[case]})",
        key="explain_case",
        width=CASE_WIDTH,
        help=CASE_HELP,
        on_change=_follow,
        args=("explain_case", "show"),
    )


def _choose_label(predictions: Predictions) -> None:
    st.session_state["explain_label"] = _read_label(predictions)
    st.selectbox(
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


def _read_label(predictions: Predictions) -> str | None:
    label = st.query_params.get("label")
    return label if label in predictions.labels else None


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


def _draw_jump(rows: np.ndarray, position: int) -> None:
    """The position, to be read and to be typed over."""
    st.session_state["explain_position"] = position + 1
    st.number_input(
        f"Image, of {len(rows)}",
        min_value=1,
        max_value=len(rows),
        step=1,
        key="explain_position",
        width=JUMP_WIDTH,
        on_change=_jump,
        args=(rows,),
    )


def _jump(rows: np.ndarray) -> None:
    position = st.session_state["explain_position"]
    if position is not None:
        _go(int(rows[min(max(int(position), 1), len(rows)) - 1]))


def _go(row: int) -> None:
    st.query_params["image"] = str(row + 1)


def _read_number(parameter: str) -> int:
    """A whole number from the address; 0 for anything else."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _draw_no_case(case: str, label: str | None, predictions: Predictions) -> None:
    name = {**CASES, DISAGREE: "The two runs disagree"}[case]
    if case == DISAGREE:
        about = f" about {escape_markdown(label)}" if label else ""
        text = f"The two runs agree{about} on every image, each at its own threshold."
    elif label is not None and predictions.thresholds[label] is None:
        text = "The validation images gave no threshold for this label, so calls cannot be told right from wrong."
    else:
        text = f"No test image is under “{name}” for this choice of label."
    st.info(f"{text} Choose another label, or “{CASES['all']}”.", icon=":material/filter_alt_off:")
