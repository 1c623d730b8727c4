"""A square of cells coloured by a share, with the same names down the side and along the top, in Vega-Lite. Light."""

from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.styles import GREY

LIGHT_CELL, DARK_CELL = "#e6f1f8", "#0b5c8f"
DARK_FROM = 0.69  # share from which white is easier to read on a cell than black
MIN_CELL_WIDTH, LABEL_LIMIT = 30, 130  # pixels: of a cell that a number fits into, and of a name

Spec = dict[str, Any]


def place_cells(labels: Sequence[str], *, row: tuple[str, str | None], column: tuple[str, str | None]) -> Spec:
    """Where the cells lie: `y` and `x` of an encoding.

    Args:
        labels: in their order.
        row, column: the field that names a cell's row or column, and the title of that axis.
    """
    names: Spec = {"type": "nominal", "sort": list(labels), "scale": {"domain": list(labels)}}
    axis: Spec = {"labelLimit": LABEL_LIMIT, "grid": False}
    above: Spec = {**axis, "orient": "top", "labelAngle": -50, "labelOverlap": False}
    return {
        "y": {**names, "field": row[0], "title": row[1], "axis": axis},
        "x": {**names, "field": column[0], "title": column[1], "axis": above},
    }


def colour_cells() -> Spec:
    """The layer that fills each cell by its `share`, 0 to 1."""
    scale = {"domain": [0, 1], "range": [LIGHT_CELL, DARK_CELL]}
    return {
        "mark": {"type": "rect", "stroke": GREY, "strokeWidth": 0.3},
        "encoding": {"color": {"field": "share", "type": "quantitative", "legend": None, "scale": scale}},
    }


def write_cells(field: str, num_labels: int, *, size: int, lift: int = 0) -> Spec:
    """The layer with a line of text in each cell, where the cells are wide enough for it.

    Args:
        field: of the text.
        num_labels: columns of the square.
        size: of the letters in pixels.
        lift: pixels that the line stands below the middle.
    """
    return {
        "mark": {
            "type": "text", "fontSize": size, "dy": lift,
            "opacity": {"expr": f"width / {num_labels} >= {MIN_CELL_WIDTH} ? 1 : 0"},
        },
        "encoding": {
            "text": {"field": field},
            "color": {"condition": {"test": f"datum.share >= {DARK_FROM}", "value": "#ffffff"}, "value": "#102a3a"},
        },
    }  # fmt: skip
