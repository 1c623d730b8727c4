"""The menu beside a chart that saves it: PNG and SVG for papers and slides, its data as CSV; made on the click."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.figures import collect_rows, prepare_print
from medpeft_core.reports.pictures import render_png, render_svg
from pages.widgets.wording import DISCLAIMER, SYNTHETIC

Spec = dict[str, Any]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def draw_save_menu(
    build: Callable[[], Spec],
    *,
    key: str,
    title: str,
    is_synthetic: bool,
    name: str | None = None,
    complete: Change | None = None,
) -> None:
    """Three downloads in a popover. Nothing is drawn before one of them is clicked.

    Args:
        build: gives the chart as it is then; runs in another thread, so it must not call Streamlit.
        key: of the widgets, such as "compare_forest".
        title: what the chart shows, above the saved picture.
        is_synthetic: whether it tells of synthetic images, which the picture then says.
        name: of the files, without the ending; None for that of the key.
        complete: adds to the table what its reader cannot see beside a chart, such as run ids; must not call Streamlit.
    """
    notes = list_picture_notes(is_synthetic=is_synthetic)
    name, complete = name or key.replace("_", "-"), complete or (lambda rows: rows)
    with st.popover("Save", icon=":material/download:", type="tertiary", key=f"{key}_save"):
        st.caption("For print, on white. Made on this computer.")
        for label, ending, mime, make in (
            ("Picture (PNG)", "png", "image/png", lambda: render_png(_print(build(), title, notes))),
            ("Drawing (SVG)", "svg", "image/svg+xml", lambda: render_svg(_print(build(), title, notes))),
            ("Data (CSV)", "csv", "text/csv", lambda: complete(collect_rows(build())).to_csv(index=False).encode()),
        ):
            st.download_button(
                label,
                data=make,
                file_name=f"{name}.{ending}",
                mime=mime,
                key=f"{key}_{ending}",
                icon=":material/image:" if ending != "csv" else ":material/table:",
                on_click="ignore",
                width="stretch",
            )


def draw_chart_head(
    title: str,
    build: Callable[[], Spec],
    *,
    key: str,
    is_synthetic: bool,
    saved_title: str | None = None,
    name: str | None = None,
    complete: Change | None = None,
) -> None:
    """The chart's title with its menu at the end of the line.

    Args:
        title: on the page, plain text.
        build, key, is_synthetic, name, complete: as `draw_save_menu` takes them.
        saved_title: above the saved picture, where it stands alone; None for the same.
    """
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{title}**", width="content")
        draw_save_menu(
            build, key=key, title=saved_title or title, is_synthetic=is_synthetic, name=name, complete=complete
        )


def list_picture_notes(*, is_synthetic: bool) -> list[str]:
    """What a saved picture says below its title, because it travels without the page."""
    return [*([SYNTHETIC] if is_synthetic else []), f"{DISCLAIMER} MedPEFT Lab."]


def _print(spec: Spec, title: str, notes: Sequence[str]) -> Spec:
    return prepare_print(spec, title=title, notes=notes)
