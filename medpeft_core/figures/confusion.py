"""A confusion matrix as a heat map: what was taken for what, with counts and the shares of each row. Light."""

from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.styles import GREY

LIGHT_CELL, DARK_CELL = "#e6f1f8", "#0b5c8f"
DARK_FROM = 0.69  # share from which white is easier to read on a cell than black
MIN_CELL_WIDTH, LABEL_LIMIT = 30, 130  # pixels: of a cell that a number fits into, and of a class's name
LINE_HEIGHT, TWO_LINES_HEIGHT = 26, 40  # pixels of a cell
MAX_TWO_LINES = 12  # classes up to which a cell says its share too
NAMES_HEIGHT = 130  # of the slanted names above
WIDE_CELL = 36  # pixels a cell needs for a count of four digits

Row = dict[str, Any]
Spec = dict[str, Any]


def build_confusion_chart(rows: Sequence[Row], labels: Sequence[str]) -> Spec:
    """True classes from top to bottom, called ones from left to right; the darker, the larger the share of the row.

    Args:
        rows: of each cell `true`, `called`, `num_images` and `share` of the images of its row, 0 to 1; cells of rows
            without images may be missing.
        labels: the K classes in their order.
    """
    has_two_lines = len(labels) <= MAX_TWO_LINES
    shown = [{**row, "count": f"{row['num_images']:,}", "percent": f"{100 * row['share']:.0f} %"} for row in rows]
    names: Spec = {"type": "nominal", "sort": list(labels), "scale": {"domain": list(labels)}}
    height = TWO_LINES_HEIGHT if has_two_lines else LINE_HEIGHT
    return {
        "data": {"values": shown},
        "width": "container",
        "height": len(labels) * height + NAMES_HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"view": {"stroke": None}},
        "encoding": {
            "y": {**names, "field": "true", "title": "true class", "axis": {"labelLimit": LABEL_LIMIT, "grid": False}},
            "x": {
                **names, "field": "called", "title": "likeliest class",
                "axis": {
                    "orient": "top", "labelAngle": -50, "labelLimit": LABEL_LIMIT, "labelOverlap": False,
                    "grid": False,
                },
            },
            "tooltip": [
                {"field": "true", "title": "true class"},
                {"field": "called", "title": "likeliest class"},
                {"field": "num_images", "title": "images", "format": ","},
                {"field": "share", "title": "of the true class", "format": ".1%"},
            ],
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": GREY, "strokeWidth": 0.3},
                "encoding": {
                    "color": {
                        "field": "share", "type": "quantitative", "legend": None,
                        "scale": {"domain": [0, 1], "range": [LIGHT_CELL, DARK_CELL]},
                    }
                },
            },
            {
                "transform": [{"filter": "datum.true === datum.called"}],
                "mark": {"type": "rect", "filled": False, "stroke": DARK_CELL, "strokeWidth": 1.6},
            },
            _write("count", len(labels), lift=-7 if has_two_lines else 0, size=12),
            *([_write("percent", len(labels), lift=8, size=10)] if has_two_lines else []),
        ],
    }  # fmt: skip


def measure_width(num_classes: int) -> int:
    """Pixels from which on every count can be read."""
    return LABEL_LIMIT + 40 + num_classes * WIDE_CELL


def _write(field: str, num_classes: int, *, lift: int, size: int) -> Spec:
    """A line of text in each cell, where the cells are wide enough."""
    return {
        "transform": [{"filter": "datum.num_images > 0"}],
        "mark": {
            "type": "text", "fontSize": size, "dy": lift,
            "opacity": {"expr": f"width / {num_classes} >= {MIN_CELL_WIDTH} ? 1 : 0"},
        },
        "encoding": {
            "text": {"field": field},
            "color": {"condition": {"test": f"datum.share >= {DARK_FROM}", "value": "#ffffff"}, "value": "#102a3a"},
        },
    }  # fmt: skip
