"""Finished runs beside each other, as Vega-Lite specs: AUROC by label with intervals, against size and against time."""

import math
from collections.abc import Mapping
from typing import Any

from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.styles import GREY, pick_colour, pick_symbol

CHANCE = 0.5
MEAN_NAME = "mean of the labels"
ROW_HEIGHT, RUN_HEIGHT = 14, 13  # pixels: between two labels, and for each run in a label's row
AXIS_HEIGHT, SCATTER_HEIGHT = 46, 280
MINUTE_S, HOUR_S = 60.0, 3600.0
MAX_FOREST_LABELS = 40  # rows; with more nobody finds the mean
LABEL_LIMIT = 150  # pixels of a label's name, so that a phone keeps room for the plot

Result = dict[str, Any]
Spec = dict[str, Any]


def build_auroc_forest(results: list[Result], *, names: Mapping[str, str] | None = None) -> Spec:
    """Test AUROC of each of `choose_forest_labels` with its interval, run beside run; the mean of all comes first.

    Args:
        results: as `reports.summary.summarise_result` gives them; those without a test result are left out, and the
            others keep the colours that they have beside them.
        names: run id to the name in the legend; the run id where there is none.
    """
    series = [_find_name(result, names) for result in results]
    labels = choose_forest_labels(results)
    rows = [
        {"series": name, "label": label or MEAN_NAME, **figures}
        for result, name in zip(results, series, strict=True)
        for label in (None, *labels)
        if (figures := _read_auroc(result, label)) is not None
    ]
    drawn = list(dict.fromkeys(str(row["series"]) for row in rows))
    y = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "scale": {"domain": [MEAN_NAME, *labels], "paddingInner": 0.3, "paddingOuter": 0.15},
        "axis": {
            "grid": True,
            "tickBand": "extent",
            "ticks": False,
            "domain": False,
            "labelPadding": 8,
            "labelLimit": LABEL_LIMIT,
            "labelFontWeight": {
                "condition": {"test": f"datum.value === '{MEAN_NAME}'", "value": "bold"},
                "value": "normal",
            },
        },
    }
    offset = {"field": "series", "type": "nominal", "scale": {"domain": drawn}}
    x = _build_auroc_axis(rows)
    spread = {"y": y, "yOffset": offset, "color": _build_colour(series, shown=drawn), "tooltip": _tooltip("label")}
    return {
        **_build_frame(drawn, (len(labels) + 1) * (ROW_HEIGHT + RUN_HEIGHT * max(len(drawn), 1))),
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{"chance": CHANCE}]},
                "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "0.5: as good as chance"},
                "encoding": {"x": {"field": "chance", **x}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, **spread},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"x": {"field": "value", **x}, "shape": _build_shape(series, shown=drawn), **spread},
            },
        ],
    }


def choose_forest_labels(results: list[Result]) -> list[str]:
    """The labels that get a row, in their order: all, or of very many those with the most positive test images."""
    counts: dict[str, int] = {}
    for result in results:
        for label, figures in result["per_class"].items():
            counts[label] = max(counts.get(label, 0), figures.get("num_positive", 0))
    largest = set(sorted(counts, key=lambda label: -counts[label])[:MAX_FOREST_LABELS])
    return [label for label in counts if label in largest]


def build_param_scatter(results: list[Result], *, names: Mapping[str, str] | None = None) -> Spec:
    """Test AUROC (mean of the labels) with its interval against the number of trained parameters, on a log axis.

    Args:
        results, names: as for `build_auroc_forest`; runs without a test result or a count are left out.
    """
    counts = [result["num_trainable_params"] or None for result in results]
    known = [count for count in counts if count]
    low = math.floor(math.log10(min(known))) if known else 3
    high = max(math.ceil(math.log10(max(known))), low + 1) if known else 7
    x = {
        "title": "trained parameters, log scale",
        "scale": {"type": "log", "domain": [10**low, 10**high]},
        "axis": {"format": "~s", "values": [10**power for power in range(low, high + 1)]},
    }
    return _build_scatter(results, counts, names=names, x=x, x_format=",")


def build_time_scatter(results: list[Result], *, names: Mapping[str, str] | None = None) -> Spec:
    """Test AUROC (mean of the labels) with its interval against the wall time of training and evaluation.

    Args:
        results, names: as for `build_auroc_forest`; runs without a test result or a time are left out.
    """
    longest = max((result["wall_time_s"] or 0 for result in results), default=0)
    unit, name = (HOUR_S, "hours") if longest >= 2 * HOUR_S else (MINUTE_S, "minutes")
    times = [None if result["wall_time_s"] is None else result["wall_time_s"] / unit for result in results]
    end = 1.08 * longest / unit or 1.0  # room for the last point
    x = {"title": f"wall time in {name}", "scale": {"domain": [0, end], "nice": False}, "axis": {"tickCount": 6}}
    return _build_scatter(results, times, names=names, x=x, x_format=".2f")


def _build_scatter(
    results: list[Result], places: list[Any], *, names: Mapping[str, str] | None, x: Spec, x_format: str
) -> Spec:
    """All runs are in the scales, so that each has the look that it has in the forest; the legend shows the drawn."""
    series = [_find_name(result, names) for result in results]
    rows = [
        {"series": name, "x": place, **figures}
        for result, name, place in zip(results, series, places, strict=True)
        if place is not None and (figures := _read_auroc(result, None)) is not None
    ]
    y = _build_auroc_axis(rows)
    place = {"field": "x", "type": "quantitative", **x}
    drawn = [row["series"] for row in rows]
    tooltip = [*_tooltip("x")]
    tooltip[1] = {"field": "x", "type": "quantitative", "title": x["title"], "format": x_format}
    shared = {"x": place, "color": _build_colour(series, shown=drawn), "tooltip": tooltip}
    return {
        **_build_frame(drawn, SCATTER_HEIGHT),
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{"chance": CHANCE}]},
                "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "0.5: as good as chance"},
                "encoding": {"y": {"field": "chance", **y}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": {"field": "low", **y}, "y2": {"field": "high"}, **shared},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {"y": {"field": "value", **y}, "shape": _build_shape(series, shown=drawn), **shared},
            },
        ],
    }


def _build_frame(names: list[str], height: int) -> Spec:
    """Size with room for axis and legend; the width is that of the page."""
    return {
        "width": "container",
        "height": height + AXIS_HEIGHT + measure_legend(names),
        "autosize": {"type": "fit", "contains": "padding"},
    }


def _build_colour(series: list[str], *, shown: list[str]) -> Spec:
    return {
        "field": "series",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": series, "range": [pick_colour(index) for index in range(len(series))]},
        "legend": _build_legend(shown),
    }


def _build_shape(series: list[str], *, shown: list[str]) -> Spec:
    return {
        **_build_colour(series, shown=shown),
        "scale": {"domain": series, "range": [pick_symbol(index) for index in range(len(series))]},
    }


def _build_legend(names: list[str]) -> Spec | None:
    if len(names) < 2:
        return None
    return {**build_legend(names, orient="top", is_line=False), "values": names}


def _tooltip(place: str) -> list[Spec]:
    return [
        {"field": "series", "type": "nominal", "title": "run"},
        {"field": place, "type": "nominal"},
        {"field": "value", "type": "quantitative", "title": "test AUROC", "format": ".3f"},
        {"field": "low", "type": "quantitative", "title": "interval from", "format": ".3f"},
        {"field": "high", "type": "quantitative", "title": "interval to", "format": ".3f"},
    ]


def _read_auroc(result: Result, label: str | None) -> dict[str, float | None] | None:
    """Value and interval; None where there is no AUROC."""
    if label is None:
        value, low, high = result["test_auroc"], result["test_auroc_low"], result["test_auroc_high"]
    else:
        figures = result["per_class"].get(label, {})
        value, low, high = figures.get("auroc"), figures.get("low"), figures.get("high")
    if value is None:
        return None
    return {"value": value, "low": low, "high": high if low is not None else None}


def _find_name(result: Result, names: Mapping[str, str] | None) -> str:
    return (names or {}).get(result["run_id"], result["run_id"])


def _build_auroc_axis(rows: list[dict[str, Any]]) -> Spec:
    """From a little below the lowest bound, and from chance at most, to 1."""
    values = [row[name] for row in rows for name in ("value", "low") if row[name] is not None]
    lowest = max(0.0, math.floor((min([*values, CHANCE]) - 0.02) * 20) / 20)
    return {
        "type": "quantitative",
        "title": "test AUROC",
        "scale": {"domain": [lowest, 1.0], "nice": False},
        "axis": {"tickCount": 6, "format": ".1f"},
    }
