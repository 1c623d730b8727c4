"""A confusion matrix as a heat map: what was taken for what, with counts and the shares of each row. Light."""

from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.share_map import DARK_CELL, LABEL_LIMIT, Spec, colour_cells, place_cells, write_cells

LINE_HEIGHT, TWO_LINES_HEIGHT = 26, 40  # pixels of a cell
MAX_TWO_LINES = 12  # classes up to which a cell says its share too
NAMES_HEIGHT = 130  # of the slanted names above
WIDE_CELL = 36  # pixels a cell needs for a count of four digits

Row = dict[str, Any]


def build_confusion_chart(rows: Sequence[Row], labels: Sequence[str]) -> Spec:
    """True classes from top to bottom, called ones from left to right; the darker, the larger the share of the row.

    Args:
        rows: of each cell `true`, `called`, `num_images` and `share` of the images of its row, 0 to 1; cells of rows
            without images may be missing.
        labels: the K classes in their order.
    """
    has_two_lines = len(labels) <= MAX_TWO_LINES
    shown = [{**row, "count": f"{row['num_images']:,}", "percent": f"{100 * row['share']:.0f} %"} for row in rows]
    height = TWO_LINES_HEIGHT if has_two_lines else LINE_HEIGHT
    return {
        "data": {"values": shown},
        "width": "container",
        "height": len(labels) * height + NAMES_HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"view": {"stroke": None}},
        "encoding": {
            **place_cells(labels, row=("true", "true class"), column=("called", "likeliest class")),
            "tooltip": [
                {"field": "true", "title": "true class"},
                {"field": "called", "title": "likeliest class"},
                {"field": "num_images", "title": "images", "format": ","},
                {"field": "share", "title": "of the true class", "format": ".1%"},
            ],
        },
        "layer": [
            colour_cells(),
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
    filled = [{"filter": "datum.num_images > 0"}]
    return {"transform": filled, **write_cells(field, num_classes, size=size, lift=lift)}
