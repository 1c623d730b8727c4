"""The image and the heat map over it, computed in the compute process while the page stays usable."""

import contextlib
import uuid
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.errors import DataError, MedPeftError
from pages.widgets.explain_blend import save_overlay, show_image, show_overlay
from pages.widgets.explain_cases import Case
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown

POLL_EVERY_S = 0.3
PATIENCE_S = 0.4  # a loaded model answers within this, and then nothing flickers
DEFAULT_OPACITY = 60  # percent, as on the command line
SKELETON_HEIGHT = 252  # pixels, about that of a square image in its column
CAPTION = "A heat map shows what raised the score, it proves nothing."


def draw_pictures(run_id: str, case: Case) -> None:
    """Original and overlay side by side, with opacity and download; a placeholder until they are there."""
    future = _ask(run_id, case)
    with contextlib.suppress(TimeoutError, CancelledError, MedPeftError):
        future.result(timeout=PATIENCE_S)
    is_pending = not future.done()
    st.fragment(_draw, run_every=POLL_EVERY_S if is_pending else None)(future, case, run_id, is_pending)


def _ask(run_id: str, case: Case) -> Future[dict[str, Any]]:
    """The answer to come; an image that was left before its turn came is not computed."""
    wanted = {"run_id": run_id, "image": case.image, "label": case.label}
    kept, future = st.session_state.get("explain_answer", (None, None))
    if kept != wanted or future.cancelled() or _has_lost_files(future):
        slot = st.session_state.setdefault("explain_slot", f"explain-{uuid.uuid4().hex}")
        future = get_lab().compute.submit("explain", slot=slot, **wanted)
        st.session_state["explain_answer"] = (wanted, future)
    return future


def _has_lost_files(future: Future[dict[str, Any]]) -> bool:
    """Whether an answer names pictures that have been cleared away since."""
    if not future.done() or future.exception() is not None:
        return False
    paths = (future.result()["image_path"], future.result()["heat_path"])
    return any(path is not None and not Path(path).is_file() for path in paths)


def _draw(future: Future[dict[str, Any]], case: Case, run_id: str, is_pending: bool) -> None:
    if is_pending and future.done():
        st.rerun()  # draw the page once more, now without polling
    if not future.done():
        _draw_waiting(case)
        return
    try:
        answer = future.result()
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="This image cannot be explained", icon=":material/error:")
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Try again", key="explain_retry", icon=":material/refresh:"):
                st.session_state.pop("explain_answer", None)
                st.rerun()  # the whole page: this part alone would be drawn with the same answer again
            if isinstance(error, DataError):
                st.page_link("pages/data.py", label="Prepare the data", icon=":material/radiology:")
        return
    for warning in answer["warnings"]:
        st.warning(escape_markdown(warning), icon=":material/warning:")
    _draw_answer(answer, case, run_id)


def _draw_waiting(case: Case) -> None:
    what = "Computing the map" if get_lab().compute.is_warm else "Loading the model (about 8 s, once)"
    titles = (_write_position(case), f"**Heat map** for {_as_code(case.label)}")
    for column, title in zip(st.columns(2), titles, strict=True):
        with column:
            st.markdown(title)
            st.skeleton(SKELETON_HEIGHT)
    st.caption(f":material/hourglass_top: {what} …")


def _draw_answer(answer: dict[str, Any], case: Case, run_id: str) -> None:
    image_path = Path(answer["image_path"])
    heat_path = Path(answer["heat_path"]) if answer["heat_path"] else None
    left, right = st.columns(2)
    with left:
        st.markdown(_write_position(case))
        st.image(show_image(image_path), width="stretch", alt=f"Test image {case.image}, as decoded.")
    with right:
        st.markdown(f"**Heat map** for {_as_code(case.label)}")
        place = st.empty()
    if heat_path is None:
        place.info(escape_markdown(answer["cam_error"]), title="There is no map to show", icon=":material/blur_off:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        percent = st.slider(
            "Opacity of the map",
            0,
            100,
            DEFAULT_OPACITY,
            format="%d %%",
            key="explain_opacity",
            persist_state="session",
        )
        st.download_button(
            "Overlay as PNG",
            data=lambda: save_overlay(image_path, heat_path, percent / 100),
            file_name=_name_download(run_id, case),
            mime="image/png",
            key="explain_download",
            icon=":material/download:",
            on_click="ignore",
        )
    place.image(
        show_overlay(image_path, heat_path, percent / 100),
        width="stretch",
        alt=f"The same image with the heat map for {case.label} at {percent} % opacity.",
    )
    _draw_caption(answer)


def _draw_caption(answer: dict[str, Any]) -> None:
    layer, image = _as_code(answer["layer"]), _as_code(answer["image"])
    st.caption(f"Grad-CAM at the layer {layer}, image {image}. **{CAPTION}**")


def _as_code(text: str) -> str:
    """A name that may hold any characters, as code within a sentence."""
    return f"`{text.replace('`', chr(39))}`"


def _write_position(case: Case) -> str:
    return f"**Image {case.position + 1}** of {case.num_cases}"


def _name_download(run_id: str, case: Case) -> str:
    parts = (run_id, Path(case.image).stem, case.label)
    return "-".join("".join(c if c.isalnum() or c in "-_" else "_" for c in part) for part in parts) + ".png"
