"""The legend of a chart: as many columns as the width gives, and how many lines that takes on a phone."""

import math
from typing import Any, Literal

LEGEND_ROW_HEIGHT, LABEL_SIZE = 20, 13  # pixels
NARROW_WIDTH = 290  # of a plot on a phone; wider ones give the legend more columns
CHARACTER_WIDTH, SYMBOL_WIDTH = 6, 36


def build_legend(names: list[str], *, orient: Literal["bottom", "top"] = "bottom", is_line: bool = True) -> Any:
    """A legend for a colour scale.

    Args:
        names: of the series.
        orient: where it stands.
        is_line: whether the series are lines; else their points are shown.
    """
    line = {"symbolType": "stroke", "symbolSize": 400, "symbolStrokeWidth": 3}
    point = {"symbolSize": 90, "symbolStrokeWidth": 0}  # the theme's stroke of 4 pixels would spread the lines apart
    return {
        "orient": orient,
        "title": None,
        "offset": 4 if orient == "bottom" else 8,
        "columns": {"expr": f"max({count_legend_columns(names)}, floor(width / {_measure_entry(names)}))"},
        "labelLimit": 400,
        "labelFontSize": LABEL_SIZE,
        "rowPadding": 0 if is_line else 5,
        **(line if is_line else point),
        "symbolOpacity": 1,
    }


def count_legend_columns(names: list[str], width: int = NARROW_WIDTH) -> int:
    """Columns in a plot of so many pixels, at least one."""
    return max(1, width // _measure_entry(names))


def measure_legend(names: list[str]) -> int:
    """Pixels that the legend takes on a phone, for which the height of a chart is made; 0 for a single series."""
    return math.ceil(len(names) / count_legend_columns(names)) * LEGEND_ROW_HEIGHT if len(names) > 1 else 0


def _measure_entry(names: list[str]) -> int:
    return max(map(len, names), default=0) * CHARACTER_WIDTH + SYMBOL_WIDTH
