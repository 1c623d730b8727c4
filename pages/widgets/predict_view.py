"""The images of a visit one by one, pictures left, what the model says right, and all of them in a table."""

import base64
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import streamlit as st

from medpeft_core.datasets.uploads import Upload
from medpeft_core.runs.run import Run
from pages.widgets.explain_words import write_grid
from pages.widgets.lab import get_lab
from pages.widgets.model_notes import draw_label_scores
from pages.widgets.picture_viewer import Picture, draw_viewer
from pages.widgets.predict_answers import Answer, ask, forget_problems, read, wait_a_little
from pages.widgets.predict_probs import (
    PROB_PREFIX,
    SYNTHETIC_MODEL,
    build_results_table,
    draw_probs,
    is_exclusive,
    write_csv,
)
from pages.widgets.predict_reading import draw_reading
from pages.widgets.wording import escape_markdown

POLL_EVERY_S = 0.3
POSITION_KEY, LABEL_KEY = "predict_position", "predict_label"
SKELETON_HEIGHT = 420  # pixels
SQUARE_WIDTH = 224  # pixels on the page
CALLED_HELP = "Labels at or above their threshold; of classes that exclude each other the likeliest."
CAPTION = "A heat map shows what raised the score, it proves nothing."


def draw_hint(run: Run) -> None:
    """What is here once there is an image, and where to go without one."""
    st.markdown(
        "For each image you will see what the model sees of it, a probability for each "
        + (
            "class beside the base rate, the likeliest of them as the answer"
            if run.provenance().get("task") == "multiclass"
            else "label beside the threshold and the base rate"
        )
        + ", and a heat map. Nothing at hand? The test images of this run are a click away."
    )
    st.page_link(
        "pages/explain.py",
        label="Look at its test images",
        icon=":material/visibility:",
        query_params={"run": run.run_id},
    )


def draw_images(run: Run, images: dict[str, Upload]) -> None:
    """Everything below the uploader."""
    futures = [ask(run, file_id, upload) for file_id, upload in images.items()]
    place = _choose_position(list(images.values()))
    wait_a_little(futures[place])
    num_done = sum(future.done() for future in futures)
    if num_done < len(futures):
        st.fragment(_draw_progress, run_every=POLL_EVERY_S)(futures, num_done)
    file_id, upload = list(images.items())[place]
    _draw_image(run, file_id, upload, futures[place], place)
    results = [(upload.name, *read(future)) for upload, future in zip(images.values(), futures, strict=True)]
    if num_done == len(futures):
        _draw_results(run, results)


def _choose_position(uploads: Sequence[Upload]) -> int:
    """Which image is shown, counted from 0; chosen by its number, because a name may be anything."""
    last = len(uploads) - 1
    position = min(st.session_state.get(POSITION_KEY, 0), last)
    st.session_state[POSITION_KEY] = position
    if last == 0:
        return 0
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Previous", key="predict_previous", icon=":material/arrow_back:", shortcut="Left", on_click=_go,
            args=(position - 1,), disabled=position == 0,
        )  # fmt: skip
        st.button(
            "Next", key="predict_next", icon=":material/arrow_forward:", shortcut="Right", on_click=_go,
            args=(position + 1,), disabled=position == last,
        )  # fmt: skip
        st.markdown(f"**Image {position + 1}** of {last + 1}")
    return position


def _go(position: int) -> None:
    st.session_state[POSITION_KEY] = position


def _draw_progress(futures: "Sequence[Future[Answer]]", num_drawn: int) -> None:
    """How many images the model has looked at; draws the page anew with each that is done."""
    num_done = sum(future.done() for future in futures)
    if num_done != num_drawn:
        st.rerun()
    if num_done == 0 and not get_lab().compute.is_warm:
        st.progress(0.0, text="Loading the model library (about 8 s, once) …")
    else:
        st.progress(num_done / len(futures), text=f"Looking at image {num_done + 1} of {len(futures)} …")


def _draw_image(run: Run, file_id: str, upload: Upload, future: "Future[Answer]", place: int) -> None:
    answer, problem = read(future) if future.done() else (None, "")
    if answer is not None:
        _draw_warnings(upload, answer)  # above both: on a phone the table lies below the picture
    left, right = st.columns([13, 12])
    with left:
        draw_reading(file_id, upload)
    if not future.done():
        with left:
            st.markdown(_write_title(upload))
            st.image(upload.shown, width="stretch", alt=f"Your image {place + 1}, as it was read.")
        with right:
            st.skeleton(SKELETON_HEIGHT)
        return
    if answer is None:
        _draw_problem(problem)
        return
    with right:
        st.markdown("**What the model says**")
        scores = st.container()
        with st.container(key="predict_table"):
            draw_probs(answer)
        label = _choose_label(answer)
        with scores:
            draw_label_scores([run.metrics() or {}], label)
    with left:
        shown = answer if label == answer["label"] else _ask_for_map(run, file_id, upload, label)
        if shown is None:
            st.markdown(_write_title(upload))
            st.skeleton(SKELETON_HEIGHT)
            return
        draw_viewer(_build_picture(upload, shown, place), key="predict")
        _draw_square(upload, shown, place)


def _ask_for_map(run: Run, file_id: str, upload: Upload, label: str) -> Answer | None:
    """The answer with the map of another label; None while it is on its way or when it failed, which is said."""
    future = ask(run, file_id, upload, label)
    wait_a_little(future)
    if not future.done():
        st.fragment(_wait_for_map, run_every=POLL_EVERY_S)(future)
        return None
    answer, problem = read(future)
    if answer is None:
        _draw_problem(problem)
    return answer


def _wait_for_map(future: "Future[Answer]") -> None:
    if future.done():
        st.rerun()
    st.caption(":material/hourglass_top: Computing the map …")


def _choose_label(answer: Answer) -> str:
    """The label whose map is shown; the one most above its threshold, or the likeliest, until somebody chooses."""
    labels = list(answer["probs"])
    if st.session_state.get(LABEL_KEY) not in labels:
        st.session_state[LABEL_KEY] = None
    chosen = st.selectbox(
        f"{'Class' if is_exclusive(answer) else 'Label'} of the heat map",
        labels,
        index=None,
        key=LABEL_KEY,
        placeholder=f"{answer['label']}, chosen for you",
        help="Left empty, the map is about the likeliest class."
        if is_exclusive(answer)
        else "Left empty, the map is about the label that is most above its threshold, or least below it.",
    )
    return chosen or answer["label"]


def _build_picture(upload: Upload, answer: Answer, place: int) -> Picture:
    return Picture(
        image=upload.shown,
        cam=base64.b64decode(answer["cam"]) if answer["cam"] else None,
        reason=answer["cam_error"],
        title=_write_title(upload)
        + (f", heat map for **{escape_markdown(answer['label'])}**" if answer["cam"] else ""),
        label=answer["label"],
        alt=f"Your image {place + 1}, as it was read.",
        download_name=f"predict-{place + 1}",
        run_id=answer["run_id"],
        notice=SYNTHETIC_MODEL if answer["is_synthetic"] else "",
        description=f"Heat map for {answer['label']} by the run {answer['run_id']}. {CAPTION}",
    )


def _draw_square(upload: Upload, answer: Answer, place: int) -> None:
    """Exactly the pixels that went into the model, and what of the image did not."""
    height, width = upload.source_size
    side = answer["image_size"]
    square, words = st.columns([2, 3], vertical_alignment="center")
    with square:
        st.image(
            base64.b64decode(answer["square"]),
            width=SQUARE_WIDTH,
            alt=f"What the model sees of your image {place + 1}: {side} by {side} pixels.",
        )
    lost = 1 - min(height, width) / max(height, width)
    cut = f" {100 * lost:.0f} % of the longer side are cut off." if lost > 0.005 else ""
    grey = "colour" if upload.is_colour else "grey"
    with words:
        st.markdown("**What the model sees**")
        st.caption(
            f"The centre square at {side} × {side} pixels, of {width} × {height} in the file ({grey}).{cut}  \n"
            + (
                f"Grad-CAM at the layer `{answer['layer']}`.{write_grid(answer['grid'])} **{CAPTION}**"
                if answer["cam"]
                else ""
            )
        )


def _draw_warnings(upload: Upload, answer: Answer) -> None:
    if answer["warnings"]:
        lines = "\n".join(f"- {escape_markdown(text)}" for text in answer["warnings"])
        st.warning(
            f"{lines}\n\nThe model answers all the same; do not trust the answer.",
            title="This image is unlike those the model was trained on",
            icon=":material/warning:",
        )
    for note in upload.notes:
        st.caption(f":material/info: {escape_markdown(note)}")


def _draw_problem(problem: str) -> None:
    st.error(escape_markdown(problem), title="The model could not look at this image", icon=":material/error:")
    st.button("Try again", key="predict_retry", icon=":material/refresh:", on_click=forget_problems)


def _draw_results(run: Run, results: list[tuple[str, Any, str]]) -> None:
    """All images in one table, with the file to save."""
    if len(results) > 1:
        st.subheader("All images")
        table = build_results_table(results)
        config = st.column_config
        numbers = [name for name in table.columns if name.startswith(PROB_PREFIX)]
        st.dataframe(
            table,
            key="predict_results",
            hide_index=True,
            lazy=False,
            placeholder="",
            column_config={
                "image": config.TextColumn("Image", pinned=True),
                "called": config.TextColumn("Called", width=240, help=CALLED_HELP),
                "probability": config.NumberColumn("Prob.", format="%.2f", help="Of the class that was called."),
                "note": config.TextColumn("Note"),
                **{name: config.NumberColumn(name.removeprefix(PROB_PREFIX), format="%.2f") for name in numbers},
            },
            alt="; ".join(f"Image {number}: called {row.called}" for number, row in enumerate(table.itertuples(), 1)),
        )
    st.download_button(
        "Answers as CSV",
        data=write_csv(run.run_id, results),
        file_name=f"predictions-{run.run_id}.csv",
        mime="text/csv",
        key="predict_csv",
        icon=":material/download:",
        on_click="ignore",
        help="A line for each image and label, with threshold, call and base rate.",
    )


def _write_title(upload: Upload) -> str:
    return f"**{escape_markdown(upload.name)}**"
