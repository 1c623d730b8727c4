"""A grid of sample images of a data set by label, and the way to one of them."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.datasets.splits import hash_order
from medpeft_core.datasets.views import DataView
from medpeft_core.errors import DataError
from pages.widgets.data_choice import IMAGE_PARAMETER
from pages.widgets.data_pictures import MARK_KINDS, list_mark_kinds, read_outlines, read_small
from pages.widgets.data_state import open_pixels
from pages.widgets.picture_blend import draw_outlines, encode_jpeg
from pages.widgets.settings_form import bind
from pages.widgets.wording import escape_markdown

COUNTS = (12, 24, 48)
ANY, NONE, ALL_SPLITS, NO_MARKS = "any label", "no finding", "all splits", "none"
TILE_WIDTH = 165  # pixels below which the grid has one column less
PATIENCE_S = 0.7  # of loading, before progress is shown
FILTER_KEY = "data_filter"
ORDER_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One small picture.

    Attributes:
        picture: JPEG, or None when the image cannot be read.
        problem: why it cannot.
        marked: what is marked in it, in the order of the numbers on it.
    """

    picture: bytes | None = None
    problem: str = ""
    marked: tuple[str, ...] = ()


def draw_images(view: DataView) -> None:
    """Filter, grid, and a button for other images of the same kind."""
    table = st.session_state.setdefault(FILTER_KEY, {})
    _choose_filter(table, view)
    chosen = {"label": table.get("label", ANY), "split": table.get("split", ALL_SPLITS)}
    rows = _order_rows(view, view.key, view.made_at, **chosen)
    if not len(rows):
        st.info("No image is like that. Choose another label or split.", icon=":material/filter_alt_off:")
        return
    shown = pick_rows(rows, count=table.get("count", COUNTS[0]), page=table.get("page", 0))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_write_count(len(shown), len(rows)), width="content")
        if len(rows) > len(shown):
            st.button("Show others", key="data_more", icon=":material/shuffle:", on_click=_show_others, args=(table,))
    draw_grid(view, shown, marks=table.get("marks", NO_MARKS), key="data_tile")


def draw_grid(view: DataView, rows: np.ndarray, *, marks: str, key: str) -> None:
    """Some images as tiles: picture, labels in words, and a button that opens the image in full.

    Args:
        rows: of the manifest.
        marks: "mask", "box" or "none".
        key: beginning of the buttons' keys.
    """
    tiles = _load_tiles(view, rows, marks)
    with st.grid("auto", min_column_width=TILE_WIDTH):
        for row, tile in zip(rows.tolist(), tiles, strict=True):
            with st.container(border=True, gap="xsmall"):
                _draw_tile(view, row, tile, key=f"{key}_{row}")


def find_rows(view: DataView, *, label: str, split: str) -> np.ndarray:
    """Rows of the manifest with a positive label (or any, or with every label known and 0), in a split (or all).

    A class counts as a label that is positive in its images.
    """
    manifest = view.manifest
    is_in = np.ones(len(manifest), dtype=bool)
    if split in SPLITS:
        is_in &= (manifest.table["split"] == split).to_numpy()
    if label in manifest.labels:
        is_in &= (manifest.table[label] == 1).to_numpy()
    elif label == NONE:
        is_in &= (manifest.targets() == 0).all(axis=1)
    return np.flatnonzero(is_in)


def pick_rows(rows: np.ndarray, *, count: int, page: int) -> np.ndarray:
    """`count` of the rows, those after the ones of the page before; after the last come the first again."""
    start = page * count % max(len(rows), 1)
    return np.concatenate([rows[start:], rows[:start]])[:count]


def write_labels(view: DataView, row: int) -> str:
    """The labels of an image in words."""
    values = view.manifest.table.loc[row, list(view.manifest.labels)]
    positive = [str(label) for label, value in values.items() if value == 1]
    if positive:
        return ", ".join(positive)
    return "labels not known" if values.isna().all() else "no finding"


def open_image(image: str) -> None:
    """Show an image in full from the next run of the page on."""
    st.query_params[IMAGE_PARAMETER] = image


def choose_marks(table: dict[str, Any], view: DataView, *, key: str) -> None:
    """Whether and how the places of findings are drawn, where the data set knows them."""
    kinds = list_mark_kinds(view.manifest)
    if not kinds:
        return
    options = [NO_MARKS, *kinds]
    st.segmented_control(
        "Places of findings",
        options,
        default=table.get("marks", NO_MARKS) if table.get("marks") in options else NO_MARKS,
        format_func=lambda kind: MARK_KINDS.get(kind, "Off"),
        required=True,
        **bind(table, "marks", key=key),
    )


def _choose_filter(table: dict[str, Any], view: DataView) -> None:
    has_classes = view.manifest.task == "multiclass"
    labels = [ANY, *view.manifest.labels, *([] if has_classes else [NONE])]
    splits = [ALL_SPLITS, *SPLITS]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Class" if has_classes else "Label",
            labels,
            index=_find_index(labels, table, "label"),
            format_func=lambda label: "any class" if has_classes and label == ANY else label,
            width=220,
            **bind(table, "label", key="data_label", after=lambda: table.pop("page", None)),
        )
        st.selectbox(
            "Split",
            splits,
            index=_find_index(splits, table, "split"),
            width=140,
            **bind(table, "split", key="data_split", after=lambda: table.pop("page", None)),
        )
        st.selectbox(
            "How many",
            COUNTS,
            index=_find_index(list(COUNTS), table, "count"),
            width=110,
            **bind(table, "count", key="data_count"),
        )
        choose_marks(table, view, key="data_marks")


def _write_count(num_shown: int, num_images: int) -> str:
    if num_shown < num_images:
        return f"{num_shown} of {num_images:,} images, drawn at random."
    return "1 image." if num_images == 1 else f"All {num_images} images."


def _find_index(options: list[Any], table: dict[str, Any], name: str) -> int:
    """Where the chosen option is; the first one where another data set has no such label."""
    if table.get(name) not in options:
        table.pop(name, None)
        return 0
    return options.index(table[name])


def _show_others(table: dict[str, Any]) -> None:
    table["page"] = table.get("page", 0) + 1


@st.cache_data(show_spinner=False, max_entries=16)
def _order_rows(_view: DataView, key: str, made_at: float, label: str, split: str) -> np.ndarray:
    """The rows that fit, in a random order that the images' names alone decide: the same for everybody."""
    rows = find_rows(_view, label=label, split=split)
    names = _view.manifest.table["image"].to_numpy(dtype=str)[rows]
    return rows[hash_order(names, ORDER_SEED)]


def _load_tiles(view: DataView, rows: np.ndarray, marks: str) -> list[Tile]:
    """The pictures, or why one cannot be shown; a bar appears when that takes long."""
    began = time.monotonic()
    place = st.empty()
    tiles: list[Tile] = []
    for done, row in enumerate(rows.tolist()):
        if time.monotonic() - began > PATIENCE_S:
            place.progress(done / len(rows), text=f"Loading images, {done} of {len(rows)}")
        try:
            picture, marked = _load_tile(view, row, marks, view.key, view.made_at, view.has_pixels)
            tiles.append(Tile(picture=picture, marked=marked))
        except DataError as error:
            tiles.append(Tile(problem=str(error)))
    place.empty()
    return tiles


@st.cache_data(show_spinner=False, max_entries=600)
def _load_tile(
    _view: DataView, row: int, marks: str, key: str, made_at: float, has_pixels: bool
) -> tuple[bytes, tuple[str, ...]]:
    """JPEG of one tile, and what is marked in it; an error is not kept, because the file may be mended."""
    loaded = read_small(_view.manifest, row, open_pixels(_view), _view.reading)
    outlines = read_outlines(_view.manifest, row, marks, size=loaded.size) if marks in MARK_KINDS else []
    return encode_jpeg(draw_outlines(loaded.picture, outlines)), tuple(item.name for item in outlines)


def _draw_tile(view: DataView, row: int, tile: Tile, *, key: str) -> None:
    table = view.manifest.table
    image, split, labels = str(table["image"].iloc[row]), table["split"].iloc[row], write_labels(view, row)
    name = image.rpartition("/")[2]
    if tile.picture is None:
        st.error(escape_markdown(tile.problem), icon=":material/broken_image:")
    else:
        st.image(tile.picture, width="stretch", alt=f"{name}, {split}: {labels}.")
    numbered = ", ".join(f"{number} {label}" for number, label in enumerate(tile.marked, start=1))
    st.caption(f"**{escape_markdown(numbered or labels)}** · {split}")
    st.button(
        escape_markdown(name),
        key=key,
        help="Show this image in full.",
        width="stretch",
        on_click=open_image,
        args=(image,),
    )
