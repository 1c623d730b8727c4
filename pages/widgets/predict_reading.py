"""Which window and frame of an uploaded DICOM file are shown and judged: the run's own until somebody chooses."""

import streamlit as st

from medpeft_core.datasets.images import Reading
from medpeft_core.datasets.uploads import Upload
from medpeft_core.datasets.views import read_how
from medpeft_core.runs.run import Run

READINGS_KEY = "predict_readings"
TITLES = {"percentiles": "Percentiles 1 to 99", "full": "Full range", "stored": "As stored"}


def get_reading(run: Run, file_id: str) -> Reading:
    """What was chosen for an upload; else what the run's data set was read by."""
    chosen: dict[str, Reading] = st.session_state.get(READINGS_KEY, {})
    return chosen.get(file_id) or read_how(run.config().data)


def forget_readings(file_ids: set[str] | None = None) -> None:
    """Drop the choices for these uploads; None: for all."""
    chosen: dict[str, Reading] = st.session_state.get(READINGS_KEY, {})
    for file_id in list(chosen) if file_ids is None else file_ids:
        chosen.pop(file_id, None)


def draw_reading(file_id: str, upload: Upload) -> None:
    """The choice of window and frame where the file leaves one."""
    choices = upload.choices
    if choices is None or not (choices.window or choices.num_frames > 1):
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if choices.window:
            numbers = [str(number) for number in range(1, len(choices.windows) + 1)]
            options = [*numbers, *(["stored"] if choices.window == "stored" else []), "percentiles", "full"]
            key = f"predict_window_{file_id}"
            st.session_state[key] = choices.window
            st.selectbox(
                "Window",
                options,
                key=key,
                format_func=lambda name: TITLES.get(name) or f"{name}: {choices.windows[int(name) - 1]}",
                on_change=_choose,
                args=(file_id, upload),
                help="How the file's grey values become light and dark: a window or table of the file, or its values "
                "alone. The model is shown the same picture.",
            )
        if choices.num_frames > 1:
            key = f"predict_frame_{file_id}"
            st.session_state[key] = choices.frame
            st.number_input(
                f"Frame, 1 to {choices.num_frames}",
                min_value=1,
                max_value=choices.num_frames,
                key=key,
                on_change=_choose,
                args=(file_id, upload),
                width=160,
            )


def _choose(file_id: str, upload: Upload) -> None:
    assert upload.choices is not None
    window = st.session_state.get(f"predict_window_{file_id}", "auto")
    frame = st.session_state.get(f"predict_frame_{file_id}", upload.choices.frame)
    chosen: dict[str, Reading] = st.session_state.setdefault(READINGS_KEY, {})
    chosen[file_id] = Reading(window="auto" if window == "stored" else window, frame=str(frame))
