"""The charts of the second lesson as Vega-Lite specs: two groups beside each other in rows, with intervals. Light."""

import math
from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.styles import GREY, pick_colour, pick_symbol

CHANCE = 0.5
ROW_HEIGHT, GROUP_HEIGHT, AXIS_HEIGHT, MIN_PLOT_HEIGHT = 16, 16, 46, 150  # pixels
LABEL_LIMIT = 170  # pixels of a row's name
SPLIT_NAMES = {"val": "val (marker as in training)", "test": "test (marker by chance)"}
VERSION_NAMES = {"original": "as it is", "masked": "marker painted over", "control": "other side painted over"}
MARK_NAMES = {1: "with the marker", 0: "without the marker"}

Result = dict[str, Any]
Spec = dict[str, Any]


def build_split_chart(result: Result) -> Spec:
    """AUROC of each finding on val and on test; the lesson's finding comes first.

    Args:
        result: as `lessons.shortcut_result.build_result` gives it.
    """
    ordered = sorted(result["aurocs"], key=lambda row: row["label"] != result["finding"])
    rows = [
        _make_row(row["label"], name, row[split], row[f"{split}_low"], row[f"{split}_high"])
        for row in ordered
        for split, name in SPLIT_NAMES.items()
    ]
    names = list(SPLIT_NAMES.values())
    return _build(rows, [row["label"] for row in ordered], names, title="AUROC", lowest=None, bold=result["finding"])


def build_masking_chart(result: Result) -> Spec:
    """AUROC of the lesson's finding on val and on test: the images as they are, and with parts painted over."""
    rows = [
        _make_row(VERSION_NAMES[row["version"]], SPLIT_NAMES[row["split"]], row["auroc"], row["low"], row["high"])
        for row in result["masking"]
    ]
    names = list(SPLIT_NAMES.values())
    return _build(rows, list(VERSION_NAMES.values()), names, title=f"AUROC for {result['finding']}", lowest=None)


def build_cell_chart(result: Result) -> Spec:
    """Mean probability of the test images with and without the finding, with and without the marker."""
    finding = result["finding"]
    places = {1: f"{finding} present", 0: f"no {finding}"}
    rows = [
        _make_row(places[row["target"]], MARK_NAMES[row["shortcut"]], row["mean_prob"], row["low"], row["high"])
        | {"images": row["num_images"]}
        for row in result["cells"]
    ]
    title = f"mean predicted probability of {finding}"
    return _build(rows, list(places.values()), list(MARK_NAMES.values()), title=title, lowest=0.0)


def _make_row(place: str, series: str, value: float | None, low: float | None, high: float | None) -> Result:
    return {"place": place, "series": series, "value": value, "low": low, "high": high}


def _build(
    rows: list[Result],
    places: Sequence[str],
    series: Sequence[str],
    *,
    title: str,
    lowest: float | None,
    bold: str | None = None,
) -> Spec:
    """Points with intervals; `lowest` None: an axis of AUROC that begins below the lowest bound, with chance."""
    drawn = [row for row in rows if row["value"] is not None]
    is_auroc = lowest is None
    start = _find_start(drawn) if lowest is None else lowest
    x = {
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [start, 1.0], "nice": False},
        "axis": {"tickCount": 6, "format": ".1f"},
    }
    weight: Any = "normal"
    if bold is not None:
        weight = {"condition": {"test": f"datum.value === '{bold}'", "value": "bold"}, "value": "normal"}
    y = {
        "field": "place",
        "type": "nominal",
        "title": None,
        "sort": None,
        "scale": {"domain": list(places), "paddingInner": 0.3, "paddingOuter": 0.15},
        "axis": {
            "grid": True,
            "tickBand": "extent",
            "ticks": False,
            "domain": False,
            "labelPadding": 8,
            "labelLimit": LABEL_LIMIT,
            "labelFontWeight": weight,
        },
    }
    spread = {
        "y": y,
        "yOffset": {"field": "series", "type": "nominal", "scale": {"domain": list(series)}},
        "color": _build_look(series, [pick_colour(index) for index in range(len(series))]),
        "tooltip": _list_tooltip(title, has_images=any("images" in row for row in rows)),
    }
    shape = _build_look(series, [pick_symbol(index) for index in range(len(series))])
    plot_height = len(places) * (ROW_HEIGHT + GROUP_HEIGHT * len(series))
    chance = {
        "data": {"values": [{"chance": CHANCE}]},
        "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "0.5: as good as chance"},
        "encoding": {"x": {"field": "chance", **x}},
    }
    return {
        "width": "container",
        "height": max(plot_height, MIN_PLOT_HEIGHT) + AXIS_HEIGHT + measure_legend(list(series)),
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": drawn},
        "layer": [
            *([chance] if is_auroc else []),
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, **spread},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "strokeWidth": 0},
                "encoding": {"x": {"field": "value", **x}, "shape": shape, **spread},
            },
        ],
    }


def _build_look(series: Sequence[str], looks: Sequence[str]) -> Spec:
    return {
        "field": "series",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(series), "range": list(looks)},
        "legend": {**build_legend(list(series), orient="top", is_line=False), "values": list(series)},
    }


def _list_tooltip(title: str, *, has_images: bool) -> list[Spec]:
    return [
        {"field": "place", "type": "nominal", "title": "of"},
        {"field": "series", "type": "nominal", "title": "images"},
        {"field": "value", "type": "quantitative", "title": title, "format": ".3f"},
        {"field": "low", "type": "quantitative", "title": "interval from", "format": ".3f"},
        {"field": "high", "type": "quantitative", "title": "interval to", "format": ".3f"},
        *([{"field": "images", "type": "quantitative", "title": "number of images"}] if has_images else []),
    ]


def _find_start(rows: Sequence[Result]) -> float:
    """A little below the lowest bound, and below chance in any case."""
    values = [row[name] for row in rows for name in ("value", "low") if row[name] is not None]
    return max(0.0, math.floor((min([*values, CHANCE]) - 0.02) * 20) / 20)
