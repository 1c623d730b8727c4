"""The image and the heat map over it, of one run or two, computed elsewhere while the page stays usable."""

import base64
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from medpeft_core.datasets.images import AS_STORED, Reading, read_image
from medpeft_core.datasets.views import read_how
from medpeft_core.errors import DataError, MedPeftError
from medpeft_core.reports.predictions import choose_other_label
from medpeft_core.runs.run import Run
from pages.widgets.data_sets import build_data_link
from pages.widgets.explain_answers import Answer, ask, forget, prepare_next
from pages.widgets.explain_cases import Case, show_instead
from pages.widgets.explain_run import Chosen
from pages.widgets.explain_words import write_cam_facts, write_localisation
from pages.widgets.lab import get_lab
from pages.widgets.picture_blend import encode_png
from pages.widgets.picture_viewer import Outline, Picture, choose_look, draw_download, draw_picture
from pages.widgets.wording import SYNTHETIC, escape_markdown

POLL_EVERY_S = 0.25
PATIENCE_S = 0.4  # a loaded model answers within this, and then nothing flickers
SKELETON_HEIGHT = 420  # pixels, about that of a square image in its column
CAPTION = "A heat map shows what raised the score, it proves nothing."
PLACES, LETTERS = ("first", "second"), "AB"


def draw_pictures(chosen: Chosen, case: Case) -> None:
    """The pictures with their choices; placeholders until they are there."""
    runs = [chosen.run] if chosen.second is None else [chosen.run, chosen.second]
    futures = [_ask(chosen, run, case, place) for run, place in zip(runs, PLACES, strict=False)]
    until = time.monotonic() + PATIENCE_S
    for future in futures:
        with contextlib.suppress(TimeoutError, CancelledError, MedPeftError):
            if future is not None:
                future.result(timeout=max(until - time.monotonic(), 0.0))
    is_pending = not all(future is None or future.done() for future in futures)
    if not is_pending:
        for run in runs:
            prepare_next(run, case)
    # No fragment once they are there: a tick of the sidebar during its run would leave parts of the view before behind.
    draw = st.fragment(_draw, run_every=POLL_EVERY_S) if is_pending else _draw
    draw(futures, chosen, case, is_pending)


def _ask(chosen: Chosen, run: Run, case: Case, place: str) -> "Future[Answer] | None":
    """None where the second run knows the image or the label not."""
    pair = chosen.pair
    if run is chosen.second and pair is not None and (case.label not in pair.labels or pair.partners[case.row] < 0):
        return None
    return ask(run, case.image, case.label, place=place)


def _draw(futures: Sequence["Future[Answer] | None"], chosen: Chosen, case: Case, is_pending: bool) -> None:
    are_done = all(future is None or future.done() for future in futures)
    if is_pending and are_done:
        st.rerun()  # draw the page once more, now without polling
    if not are_done:
        _draw_waiting(case, chosen.names)
        return
    answers: list[Answer | None] = []
    for future in futures:
        try:
            answers.append(None if future is None else future.result())
        except CancelledError:
            return  # another window of this visit asked for another image
        except MedPeftError as error:
            _draw_problem(error, chosen.run)
            return
    runs = [chosen.run] if chosen.second is None else [chosen.run, chosen.second]
    pictures = [
        None
        if answer is None
        else build_picture(
            answer,
            case,
            is_synthetic=bool((run.metrics() or {}).get("is_synthetic")),
            reading=read_how(run.config().data),
        )
        for run, answer in zip(runs, answers, strict=True)
    ]
    if any(answer is not None and pictures[number] is None for number, answer in enumerate(answers)):
        forget()  # cleared away since
        st.rerun()
    _draw_answers(answers, pictures, chosen, case)


def _draw_answers(
    answers: Sequence[Answer | None], pictures: Sequence[Picture | None], chosen: Chosen, case: Case
) -> None:
    shown = [picture for picture in pictures if picture is not None]
    _draw_remarks([answer for answer in answers if answer is not None])
    has_map = any(picture.cam is not None for picture in shown)
    st.markdown(_write_title(case, "**heat map**" if has_map else "no heat map"))
    look, place = choose_look(
        key="explain",
        has_map=has_map,
        has_outlines=any(picture.outlines for picture in shown),
    )
    with place:
        for number, (column, picture) in enumerate(zip(_make_columns(pictures), pictures, strict=True)):
            with column:
                if len(pictures) > 1:
                    st.markdown(f"**{LETTERS[number]}** · {escape_markdown(chosen.names[number])}")
                if picture is None:
                    st.info(f"This run does not know this image or the label {_as_code(case.label)}: no map.")
                else:
                    draw_picture(picture, look, key=f"explain_{PLACES[number]}")
        if any(picture.cam is None for picture in shown):
            _offer_other_map(chosen, case)
    for number, (column, answer, picture) in enumerate(zip(_make_columns(pictures), answers, pictures, strict=True)):
        if picture is None or answer is None:
            continue
        with column:
            letter = f"**{LETTERS[number]}** · " if len(pictures) > 1 else ""
            if answer["localisation"] is not None:
                st.markdown(f"{letter}{write_localisation(answer['localisation'], case.label)}")
            caution = f" **{CAPTION}**" if picture.cam is not None else ""
            st.caption(f"{letter}{write_cam_facts(answer)}{caution}")
            draw_download(picture, look, key=f"explain_{PLACES[number]}")
    if len(pictures) > 1:
        st.caption(
            "Each map has its own scale: the same colour in both does not mean the same strength. Compare where they "
            "are, not how bright."
        )


def _draw_remarks(answers: Sequence[Answer]) -> None:
    """Warnings that put the answers in doubt first, then, quietly, how the file was read: as on Predict."""
    notes = dict.fromkeys(text for answer in answers for text in answer["image_warnings"])
    for warning in dict.fromkeys(text for answer in answers for text in answer["warnings"] if text not in notes):
        st.warning(escape_markdown(warning), icon=":material/warning:")
    for note in notes:
        st.caption(f":material/info: {escape_markdown(note)}")


def _write_title(case: Case, what: str) -> str:
    instead = f", in place of {_as_code(case.label_of_list)}" if case.label_of_list else ""
    return f"**Image {case.position + 1}** of {case.num_cases} · {what} for {_as_code(case.label)}{instead}"


def _offer_other_map(chosen: Chosen, case: Case) -> None:
    """A finding that the model misses often has a flat map; another label of the image may have raised its score."""
    other = choose_other_label(chosen.predictions, case.row, case.label)
    if other is None or case.label_of_list is not None:
        return
    if st.button(
        f"Show the map for {escape_markdown(other)} instead", key="explain_instead_of", icon=":material/swap_horiz:"
    ):
        show_instead(case, other)
        st.rerun()  # the whole page: the table and the scores are about this label too


def _make_columns(pictures: Sequence[Picture | None]) -> list[DeltaGenerator]:
    return st.columns(len(pictures)) if len(pictures) > 1 else [st.container()]


def build_picture(answer: Answer, case: Case, *, is_synthetic: bool, reading: Reading = AS_STORED) -> Picture | None:
    """What the viewer needs; None when the files of the answer have been cleared away."""
    try:
        image = Path(answer["image_path"]).read_bytes()
        cam = None if answer["cam_path"] is None else Path(answer["cam_path"]).read_bytes()
    except OSError:
        return None
    source = Path(answer["source_path"])
    is_reduced = answer["size"] != answer["source_size"]
    return Picture(
        image=image,
        cam=cam,
        reason=answer["cam_error"],
        label=case.label,
        alt=f"Test image {case.image}, as decoded.",
        outlines=tuple(_list_outlines(answer["marks"], case.label)),
        download_name=_name_download(answer["run_id"], case),
        run_id=answer["run_id"],
        notice=SYNTHETIC if is_synthetic else "",
        description=f"Grad-CAM of run {answer['run_id']} for {case.label} on {case.image} at {answer['layer']}.",
        load_source=(lambda: encode_png(Image.fromarray(read_image(source, reading).pixels))) if is_reduced else None,
    )


def _list_outlines(marks: list[dict[str, Any]], label: str) -> list[Outline]:
    """The explained label's first, so that it keeps its number and colour."""
    outlines = []
    for mark in sorted(marks, key=lambda mark: mark["label"] != label):
        shapes = [base64.b64decode(mark["png"])] if mark["png"] else [tuple(box) for box in mark["boxes"]]
        name = f"{mark['label']} ({mark['kind']})"
        outlines += [
            Outline(name=name, kind=mark["kind"], geometry=shape, is_main=mark["label"] == label) for shape in shapes
        ]
    return outlines


def _draw_problem(error: MedPeftError, run: Run) -> None:
    st.error(escape_markdown(str(error)), title="This image cannot be explained", icon=":material/error:")
    st.caption("The probabilities are stored with the run, so they are shown all the same.")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Try again", key="explain_retry", icon=":material/refresh:"):
            forget()
            st.rerun()  # the whole page: this part alone would be drawn with the same answer again
        if isinstance(error, DataError):
            st.page_link(
                "pages/data.py",
                label="Prepare the data",
                icon=":material/radiology:",
                query_params=build_data_link(run.config().data),
            )


def _draw_waiting(case: Case, names: tuple[str, ...]) -> None:
    what = "Computing the map" if get_lab().compute.is_warm else "Loading the model (a few seconds, once)"
    st.markdown(_write_title(case, "**heat map**"))
    for column in st.columns(len(names)):
        with column:
            st.skeleton(SKELETON_HEIGHT)
    st.caption(f":material/hourglass_top: {what} …")


def _as_code(text: str) -> str:
    """A name that may hold any characters, as code within a sentence."""
    return f"`{text.replace('`', chr(39))}`"


def _name_download(run_id: str, case: Case) -> str:
    parts = (run_id, Path(case.image).stem, case.label)
    return "-".join("".join(c if c.isalnum() or c in "-_" else "_" for c in part) for part in parts)
