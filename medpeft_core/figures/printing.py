"""A chart of a page made ready for paper: white, of a fixed size, with a title and what must be said beside it."""

import copy
from collections.abc import Sequence
from typing import Any

import pandas as pd

from medpeft_core.figures.legend import count_legend_columns

PRINT_WIDTH = 680  # pixels at scale 1; three times as many are 17 cm at 300 dots an inch
TITLE_HEIGHT, LINE_HEIGHT = 34, 16
INK, PALE_INK, GRID = "#1b2a2c", "#516265", "#dfe6e6"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
# An SVG is laid out by the first of these fonts; a reader without them draws wider letters at the same places.
LEFT_ROOM, LEGEND_ROOM = 40, 48
LEGEND_WIDTH = 480  # of the plot, for choosing the columns: what is left of it takes the room between them
DRAWN_ONLY = ("piece", "at", "is_lone", "is_best")  # columns that serve the drawing and say nothing

Spec = dict[str, Any]


def prepare_print(spec: Spec, *, title: str, notes: Sequence[str] = ()) -> Spec:
    """The same chart with its own size, title and colours of text.

    Args:
        spec: as the figures of this package give it; it stays as it is.
        title: what is shown, such as "Test AUROC by label".
        notes: lines below the title.
    """
    printed = copy.deepcopy(spec)
    head = TITLE_HEIGHT + LINE_HEIGHT * len(notes)
    printed |= {
        "width": PRINT_WIDTH,
        "height": spec["height"] + head,
        "background": "white",
        "padding": {"left": LEFT_ROOM, "top": 12, "right": 12, "bottom": 12},
        "title": {
            "text": title,
            "subtitle": list(notes),
            "anchor": "start",
            "frame": "bounds",
            "offset": 10,
            "fontSize": 17,
            "subtitleFontSize": 12,
            "subtitleColor": PALE_INK,
            "subtitlePadding": 4,
        },
        "config": {
            "font": FONT,
            "title": {"color": INK},
            "axis": {
                "labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 13, "gridColor": GRID,
                "domainColor": PALE_INK, "tickColor": PALE_INK, "titleFontWeight": "normal",
            },
            "legend": {"labelColor": INK, "labelFontSize": 12, "columnPadding": LEGEND_ROOM},
            "view": {"stroke": None},
        },
    }  # fmt: skip
    _loosen_legends(printed)
    return printed


def _loosen_legends(part: Any) -> None:
    """Fewer columns in the legends of a spec, so that there is room between them."""
    if isinstance(part, list):
        for item in part:
            _loosen_legends(item)
    elif isinstance(part, dict):
        if isinstance(part.get("legend"), dict) and "columns" in part["legend"]:
            names = part["legend"].get("values", part.get("scale", {}).get("domain", []))
            part["legend"]["columns"] = count_legend_columns(names, LEGEND_WIDTH)
        for key, item in part.items():
            if key not in ("data", "legend"):
                _loosen_legends(item)


def collect_rows(spec: Spec) -> pd.DataFrame:
    """The data of a chart as a table, without the columns that only serve the drawing; `series` is called `run`."""
    frame = pd.DataFrame(spec["data"]["values"])
    frame = frame.drop(columns=[name for name in DRAWN_ONLY if name in frame.columns])
    return frame.rename(columns={"series": "run"})
