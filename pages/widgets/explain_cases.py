"""Which test image to look at, and which label to explain; the choice lives in the address beside the runs."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from medpeft_core.reports.class_cases import sort_images
from medpeft_core.reports.disagreements import sort_disagreements
from medpeft_core.reports.predictions import CaseList, Predictions
from pages.widgets.explain_case_words import (
    CASE_HELP,
    CLASS_CASE_HELP,
    CLASS_HELP,
    DISAGREE,
    LABEL_HELP,
    describe_case,
    name_cases,
)
from pages.widgets.explain_run import Chosen
from pages.widgets.ticks import is_part_renewed
from pages.widgets.wording import escape_markdown

CASE_WIDTH, LABEL_WIDTH, JUMP_WIDTH = 270, 200, 118  # pixels
INSTEAD_KEY, NO_IMAGE_KEY = "explain_instead", "explain_no_image"
WANTED_KEY = "explain_wanted"  # address parameter to value, None to take it out, chosen since the page was drawn last
BEFORE_KEY = "explain_position_before"  # what the number field showed before it showed what it shows


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
        label_of_list: the label that was to be explained, where the reader asked for another one; else None.
    """

    row: int
    image: str
    label: str
    position: int
    num_cases: int
    following: tuple[str, str] | None = None
    label_of_list: str | None = None


def choose_case(chosen: Chosen) -> Case | None:
    """Let the reader filter and page through the images.

    Returns:
        The image of the moment; None when no image fits the filter, which is said.
    """
    _write_wanted()
    label = _read_label(chosen.predictions)
    lists = list_images(chosen, label)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="explain_choice"):
        counts = {name: len(images) for name, images in lists.items()}
        case = _choose_case(counts, is_exclusive=chosen.predictions.is_exclusive)
        _choose_label(chosen.predictions)
        images = lists[case]
        position = _find_position(images.rows)
        if position is not None:
            with st.container(
                horizontal=True, gap="small", width="content", vertical_alignment="bottom", key="explain_steps"
            ):
                _draw_step("Previous", images.rows, position - 1, icon=":material/arrow_back:", shortcut="Left")
                _draw_jump(images.rows, position)
                _draw_step("Next", images.rows, position + 1, icon=":material/arrow_forward:", shortcut="Right")
    if position is None:
        _draw_no_case(case, label, chosen.predictions)
        return None
    wrong = st.session_state.pop(NO_IMAGE_KEY, None)
    if wrong is not None:
        st.warning(f"There is no image {wrong} in this list. It has the images 1 to {len(images)}.")
    with st.container(key="explain_words"):
        words = describe_case(case, label, is_exclusive=chosen.predictions.is_exclusive)
        st.caption(f"{words} Keys: ← and →.")
    st.query_params["image"] = str(int(images.rows[position]) + 1)
    found = [_find_image(chosen.predictions, images, number) for number in (position, position + 1)]
    image, shown_label = found[0] or ("", "")
    whole = Case(
        row=int(images.rows[position]), image=image, label=shown_label,
        position=position, num_cases=len(images), following=found[1],
    )  # fmt: skip
    return _swap_label(whole, chosen.predictions)


def show_instead(case: Case, label: str) -> None:
    """Explain another label for this image alone; the list stays as it is."""
    st.session_state[INSTEAD_KEY] = (case.image, case.label, label)


def _swap_label(case: Case, predictions: Predictions) -> Case:
    """The image for the label that was asked for in place of its own; forgotten when another image is shown."""
    image, own, label = st.session_state.get(INSTEAD_KEY, ("", "", ""))
    if (image, own) == (case.image, case.label) and label in predictions.labels:
        return replace(case, label=label, label_of_list=own)
    st.session_state.pop(INSTEAD_KEY, None)
    return case


def list_images(chosen: Chosen, label: str | None) -> dict[str, CaseList]:
    """For each choice of images the rows, those worth a look first, and what each is looked at for."""
    lists = sort_images(chosen.predictions, label)
    if chosen.pair is not None:
        rows, labels = sort_disagreements(chosen.pair, label)
        lists[DISAGREE] = CaseList(rows=rows, labels=labels)
    return lists


def _find_image(predictions: Predictions, images: CaseList, position: int) -> tuple[str, str] | None:
    """Name and label of the image at a position of the list."""
    if position >= len(images):
        return None
    name = str(predictions.table["image"].iloc[int(images.rows[position])])
    return name, predictions.labels[int(images.labels[position])]


def _choose_case(counts: dict[str, int], *, is_exclusive: bool) -> str:
    """Which images; the address decides, also after a link or a step back."""
    names = name_cases(is_exclusive=is_exclusive)
    wanted = st.query_params.get("show")
    st.session_state["explain_case"] = wanted if wanted in counts else "all"
    return st.selectbox(
        "Images",
        list(counts),
        format_func=lambda case: f"{names[case]} ({counts[case]})",
        key="explain_case",
        width=CASE_WIDTH,
        help=CLASS_CASE_HELP if is_exclusive else CASE_HELP,
        on_change=_open_list,
    )


def _choose_label(predictions: Predictions) -> None:
    st.session_state["explain_label"] = _read_label(predictions)
    st.selectbox(
        "Class to explain" if predictions.is_exclusive else "Label to explain",
        predictions.labels,
        index=None,
        key="explain_label",
        placeholder="Any class" if predictions.is_exclusive else "Any label",
        width=LABEL_WIDTH,
        help=CLASS_HELP if predictions.is_exclusive else LABEL_HELP,
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


def _open_list() -> None:
    """Show another list from its first image on."""
    _follow("explain_case", "show")
    _want("image", None)


def _follow(key: str, parameter: str) -> None:
    chosen = st.session_state[key]
    _want(parameter, None if chosen in (None, "all") else str(chosen))


def _want(parameter: str, value: str | None) -> None:
    """Keep a choice for the next drawing of the page, which writes it into the address.

    The renewal of a live part can bring a choice before the click that made it: only that part is drawn then, and the
    click itself comes with the address as it was. A choice that went into the address at once would be lost.
    """
    st.session_state[WANTED_KEY] = {**st.session_state.get(WANTED_KEY, {}), parameter: value}


def _write_wanted() -> None:
    for parameter, value in st.session_state.pop(WANTED_KEY, {}).items():
        if value is None:
            st.query_params.pop(parameter, None)
        else:
            st.query_params[parameter] = value


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
    before = st.session_state.get("explain_position")
    if before != position + 1:
        st.session_state[BEFORE_KEY] = before
    st.session_state["explain_position"] = position + 1
    st.number_input(  # without bounds: beyond them the browser draws a red box and says nothing
        f"Image, 1 to {len(rows)}",
        step=1,
        key="explain_position",
        width=JUMP_WIDTH,
        on_change=_jump,
        args=(rows,),
    )


def _jump(rows: np.ndarray) -> None:
    position = st.session_state["explain_position"]
    if position is None or (is_part_renewed() and position == st.session_state.get(BEFORE_KEY)):
        return  # nobody typed it: the browser has not heard yet what the field shows now
    if 1 <= position <= len(rows):
        _go(int(rows[int(position) - 1]))
    else:
        st.session_state[NO_IMAGE_KEY] = int(position)


def _go(row: int) -> None:
    _want("image", str(row + 1))


def _read_number(parameter: str) -> int:
    """A whole number from the address; 0 for anything else."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _draw_no_case(case: str, label: str | None, predictions: Predictions) -> None:
    names = name_cases(is_exclusive=predictions.is_exclusive)
    word = "class" if predictions.is_exclusive else "label"
    if case == DISAGREE:
        about = f" about {escape_markdown(label)}" if label else ""
        text = f"The two runs agree{about} on every image"
        text += "." if predictions.is_exclusive else ", each at its own threshold."
    elif label is not None and predictions.thresholds[label] is None and not predictions.is_exclusive:
        text = "The validation images gave no threshold for this label, so calls cannot be told right from wrong."
    else:
        text = f"No test image is under “{names[case]}” for this choice of {word}."
    st.info(f"{text} Choose another {word}, or “{names['all']}”.", icon=":material/filter_alt_off:")
