"""Everything that is known of a prepared data set: words first, then labels, splits, images and checks in tabs."""

import streamlit as st

from medpeft_core.datasets.views import DataView
from pages.widgets.data_charts import draw_labels, draw_people
from pages.widgets.data_choice import IMAGE_PARAMETER
from pages.widgets.data_image import close_image, draw_image
from pages.widgets.data_images import draw_images
from pages.widgets.data_report import draw_cards, draw_checks, draw_findings
from pages.widgets.wording import DISCLAIMER, SYNTHETIC

LABELS, PEOPLE, IMAGES, CHECKS = "Labels", "Splits and people", "Images", "Checks and downloads"
TABS = {
    LABELS: ":material/bar_chart:",
    PEOPLE: ":material/groups:",
    IMAGES: ":material/grid_view:",
    CHECKS: ":material/checklist:",
}
TAB_KEY = "data_tab"


def draw_view(view: DataView) -> None:
    """The report in words and the tabs; only the open tab is computed. An image in the address opens its tab."""
    image = st.query_params.get(IMAGE_PARAMETER)
    notes = [DISCLAIMER, *([SYNTHETIC] if view.manifest.is_synthetic else [])]
    st.caption(" · ".join(notes))
    if image is None or view.find_row(image) is None:  # else the picture shall stand on top, also on a phone
        draw_cards(view)
        draw_findings(view.report)
    titles = [f"{icon} {name}" for name, icon in TABS.items()]
    if image is not None:
        st.session_state[TAB_KEY] = titles[list(TABS).index(IMAGES)]
    tabs = dict(zip(TABS, st.tabs(titles, key=TAB_KEY, on_change=close_image), strict=True))
    for name, tab in tabs.items():
        if tab.open:
            with tab:
                _draw_tab(view, name, image)


def _draw_tab(view: DataView, name: str, image: str | None) -> None:
    if name == LABELS:
        draw_labels(view)
    elif name == PEOPLE:
        draw_people(view)
    elif name == CHECKS:
        draw_checks(view)
    elif image is None:
        draw_images(view)
    else:
        draw_image(view, image)
        if view.find_row(image) is None:
            draw_images(view)
