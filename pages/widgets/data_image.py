"""One image of a data set in full: the picture, its row of the manifest, its patient's other images, and runs on it."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from medpeft_core.datasets.views import DataView
from medpeft_core.errors import DataError
from pages.widgets.data_choice import IMAGE_PARAMETER
from pages.widgets.data_images import FILTER_KEY, NO_MARKS, choose_marks, draw_grid, write_labels
from pages.widgets.data_pictures import MARK_KINDS, list_mark_kinds, read_large, read_outlines
from pages.widgets.data_runs import draw_runs
from pages.widgets.picture_blend import Outline, draw_outlines, encode_png, enlarge_small
from pages.widgets.wording import SYNTHETIC, escape_markdown

MAX_OTHERS = 12
TITLES = {"patient_id": "Patient (pseudonym)", "split": "Split", "age": "Age", "sex": "Sex", "view": "View"}
HIDDEN = ("image", "mask", "boxes")


def draw_image(view: DataView, image: str) -> None:
    """The image that the address names.

    Args:
        view: of the data set.
        image: its name as the address has it, any text.
    """
    st.button("Back to all images", key="data_back", icon=":material/arrow_back:", on_click=close_image)
    row = view.find_row(image)
    if row is None:
        st.warning(
            "The address names an image that is not in this data set. Choose one of those below.",
            icon=":material/search_off:",
        )
        return
    name = image.rpartition("/")[2]
    st.subheader(escape_markdown(name), anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with right:
        _draw_row(view, row)
        draw_runs(view, row)
    with left:
        _draw_picture(view, row, name)
    _draw_others(view, row)


def close_image() -> None:
    """Show the grid again from the next run of the page on."""
    st.query_params.pop(IMAGE_PARAMETER, None)


def build_row_table(view: DataView, row: int) -> pd.DataFrame:
    """The image's row of the manifest as names and values in words; marks are drawn, not listed."""
    labels = list(view.manifest.labels)
    values = view.manifest.table.iloc[row]
    others = [name for name in values.index if name not in (*HIDDEN, *TITLES, *labels)]
    rows = [(TITLES[name], _write_value(values[name])) for name in TITLES if name in values]
    if view.manifest.task == "multiclass":
        rows.append(("Class", write_labels(view, row)))
    else:
        rows += [(label, {1.0: "yes", 0.0: "no"}.get(values[label], "not known")) for label in labels]
    rows += [(name.replace("_", " "), _write_value(values[name])) for name in others]
    return pd.DataFrame([("File", values["image"]), *rows], columns=["Field", "Value"])


def _draw_picture(view: DataView, row: int, name: str) -> None:
    table = st.session_state.setdefault(FILTER_KEY, {})
    choose_marks(table, view, key="data_marks_large")
    try:
        loaded = read_large(view.manifest.paths()[row], view.reading)
    except DataError as error:
        st.error(escape_markdown(str(error)), title="This image cannot be shown", icon=":material/broken_image:")
        return
    outlines = _find_outlines(view, row, table.get("marks", NO_MARKS), loaded.size)
    picture = draw_outlines(enlarge_small(loaded.picture), outlines) if outlines else loaded.picture
    marked = f" Marked: {', '.join(item.name for item in outlines)}." if outlines else ""
    st.image(encode_png(picture), width="stretch", alt=f"{name} in full: {write_labels(view, row)}.{marked}")
    for number, item in enumerate(outlines, start=1):
        st.caption(f"**{number}** {escape_markdown(item.name)}, {'outline' if item.kind == 'mask' else 'box'}")
    height, width = loaded.size
    made = f" {SYNTHETIC}" if view.manifest.is_synthetic else ""
    st.caption(f"{width:,} × {height:,} pixels, as decoded.{made}")
    for warning in loaded.warnings:
        st.caption(f":material/info: {escape_markdown(warning)}")


def _find_outlines(view: DataView, row: int, kind: str, size: tuple[int, int]) -> list[Outline]:
    if kind not in MARK_KINDS or kind not in list_mark_kinds(view.manifest):
        return []
    try:
        outlines = read_outlines(view.manifest, row, kind, size=size)
    except DataError as error:
        st.warning(escape_markdown(str(error)), icon=":material/warning:")
        return []
    if not outlines:
        st.caption("Nothing is marked in this image.")
    return outlines


def _draw_row(view: DataView, row: int) -> None:
    st.markdown(f"**{escape_markdown(write_labels(view, row))}**")
    table = build_row_table(view, row)
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height="content",
        key="data_row",
        alt="The image's row of the manifest: " + "; ".join(f"{name}: {value}" for name, value in table.to_numpy()),
    )
    if not view.manifest.has_patients:
        st.caption("This data set has no patient ids.")


def _draw_others(view: DataView, row: int) -> None:
    if not view.manifest.has_patients:
        return
    patients = view.manifest.table["patient_id"].to_numpy()
    others = np.flatnonzero(patients == patients[row])
    others = others[others != row]
    if not len(others):
        st.caption("This patient has no other image.")
        return
    more = f", the first {MAX_OTHERS} of {len(others)}" if len(others) > MAX_OTHERS else ""
    st.markdown(f"**Other images of this patient**{more}")
    marks = st.session_state[FILTER_KEY].get("marks", NO_MARKS)
    draw_grid(view, others[:MAX_OTHERS], marks=marks, key="data_other")


def _write_value(value: Any) -> str:
    if value is None or pd.isna(value):
        return "not known"
    return (
        f"{value:.3g}" if isinstance(value, float) and not float(value).is_integer() else str(value).removesuffix(".0")
    )
