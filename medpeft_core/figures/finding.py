"""The result of the first lesson as a Vega-Lite spec: test AUROC against the number of labelled images. Light."""

import math
from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.finding_looks import (
    MACRO,
    Result,
    Spec,
    count_images,
    list_interval,
    name_label,
    name_method,
    pick_look,
    write_fraction,
)
from medpeft_core.figures.styles import COLOURS, GREY, SYMBOLS

CHANCE = 0.5
PLOT_HEIGHT, AXIS_HEIGHT = 300, 64  # pixels
NAME_GAP, NAME_WIDTH, NAME_ROOM = 20, 6.6, 30  # pixels: between two names at the side, of a letter, and beside them
DODGE = 0.025  # of the width of the axis, so that the intervals of one place stand beside each other


def build_label_curve(result: Result, label: str = MACRO) -> Spec:
    """Test AUROC against the number of labelled training images on a log axis: a line and intervals per method.

    Small pale dots are the single seeds. Chance is a dashed line.

    Args:
        result: of the lesson.
        label: "macro" or one of its findings.
    """
    counts = count_images(result)
    points = [
        row
        for row in result["points"]
        if row["label"] == label and row["mean"] is not None and row["fraction"] in counts
    ]
    methods = _order_methods(result, points)
    ends = _stretch(sorted(counts.values()))
    rows = [_build_point(row, counts[row["fraction"]], methods, ends) for row in points]
    rows.sort(key=lambda row: (methods.index(row["key"]), row["images"]))
    domain = _find_domain(rows)
    room = max((len(name_method(method)) for method in methods), default=0) * NAME_WIDTH + NAME_ROOM
    x = {
        "type": "quantitative",
        "title": "labelled training images, log scale",
        "scale": {"type": "log", "domain": ends, "range": [0, {"expr": f"max(width - {room:.0f}, 40)"}], "nice": False},
        "axis": {
            "values": sorted(counts.values()),
            "labelExpr": _write_ticks(counts),
            "grid": False,
            "labelFlush": False,
            "labelOverlap": False,
        },
    }
    y = {
        "type": "quantitative",
        "title": "test AUROC",
        "scale": {"domain": domain, "nice": False},
        "axis": {"tickCount": 6, "format": ".2f"},
    }
    colour = {**_build_look(methods, COLOURS), "legend": None}
    shape = {**_build_look(methods, SYMBOLS), "legend": None}
    place = {"x": {"field": "at", **x}, "color": colour}
    seeds = [
        {"key": row["key"], "method": row["method"], "at": row["at"], "value": value, "seed": number + 1}
        for row in rows
        for number, value in enumerate(row["seeds"])
    ]
    return {
        "width": "container",
        "height": PLOT_HEIGHT + AXIS_HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": [_flatten(row) for row in rows]},
        "layer": [
            {
                "data": {"values": [{"chance": CHANCE}]},
                "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "0.5: as good as chance"},
                "encoding": {"y": {"field": "chance", **y}},
            },
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {**place, "y": {"field": "value", **y}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {**place, "y": {"field": "low", **y}, "y2": {"field": "high"}, "tooltip": _list_point()},
            },
            {
                "data": {"values": seeds},
                "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.55, "xOffset": 7, "strokeWidth": 0},
                "encoding": {**place, "y": {"field": "value", **y}, "shape": shape, "tooltip": _list_seed()},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "strokeWidth": 0},
                "encoding": {**place, "y": {"field": "value", **y}, "shape": shape, "tooltip": _list_point()},
            },
            *_build_names(rows, methods, domain, y, colour, shape, room),
        ],
    }


def _order_methods(result: Result, points: Sequence[Result]) -> list[str]:
    """Those that have a point, as the result lists them."""
    drawn = {row["method"] for row in points}
    return [item["method"] for item in result["methods"] if item["method"] in drawn]


def _build_look(methods: Sequence[str], looks: Sequence[str]) -> Spec:
    return {
        "field": "key",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(methods), "range": [pick_look(method, looks) for method in methods]},
    }


def _build_point(row: Result, num_images: int, methods: Sequence[str], ends: Sequence[float]) -> dict[str, Any]:
    step = (ends[1] / ends[0]) ** DODGE
    return {
        "key": row["method"],
        "method": name_method(row["method"]),
        "label": name_label(row["label"]),
        "fraction": row["fraction"],
        "images": num_images,
        "value": row["mean"],
        "low": row["low"],
        "high": row["high"] if row["low"] is not None else None,
        "num_seeds": row["num_seeds"],
        "seeds": [value for value in row["seeds"] if value is not None],
        "at": num_images * step ** (methods.index(row["method"]) - (len(methods) - 1) / 2),
    }


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    """The seeds as one text: a cell of a table."""
    return {**row, "seeds": "; ".join(f"{value:.4f}" for value in row["seeds"])}


def _build_names(
    rows: Sequence[dict[str, Any]], methods: Sequence[str], domain: list[float], y: Spec, colour: Spec, shape: Spec,
    room: float,
) -> list[Spec]:  # fmt: skip
    """The name and symbol of each method at the right, as high as its last point where there is room for all."""
    lasts = {method: [row for row in rows if row["key"] == method][-1]["value"] for method in methods}
    gap = NAME_GAP / PLOT_HEIGHT * (domain[1] - domain[0])
    places = _spread([lasts[method] for method in methods], gap, domain)
    names = [{"key": method, "name": name_method(method), "at": at} for method, at in zip(methods, places, strict=True)]
    height = {"field": "at", **y}
    return [
        {
            "data": {"values": names},
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "strokeWidth": 0},
            "encoding": {
                "x": {"value": {"expr": f"width - {room - 12:.0f}"}},
                "y": height,
                "color": colour,
                "shape": shape,
            },
        },
        {
            "data": {"values": names},
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 13},
            "encoding": {
                "x": {"value": {"expr": f"width - {room - 22:.0f}"}},
                "y": height,
                "text": {"field": "name"},
            },
        },
    ]


def _spread(values: Sequence[float], gap: float, domain: Sequence[float]) -> list[float]:
    """The same values moved apart until neighbours have `gap` between them, within the domain."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    places = [values[at] for at in order]
    for _ in range(50):  # each round moves pairs that are too near apart by half of what is missing
        for at in range(1, len(places)):
            missing = gap - (places[at] - places[at - 1])
            if missing > 0:
                places[at - 1] -= missing / 2
                places[at] += missing / 2
    if places:
        shift = max(domain[0] + gap / 2 - places[0], 0.0) or min(domain[1] - gap / 2 - places[-1], 0.0)
        places = [place + shift for place in places]
    return [places[order.index(at)] for at in range(len(values))]


def _stretch(counts: Sequence[int]) -> list[float]:
    """The ends of the log axis, a little beyond the counts."""
    if not counts:
        return [1.0, 10.0]
    low, high = max(counts[0], 1), max(counts[-1], 1)
    edge = max((high / low) ** 0.1, 1.3)
    return [low / edge, high * edge]


def _write_ticks(counts: dict[float, int]) -> str:
    """An expression that gives each tick its count and, below it, its share."""
    text = "''"
    for fraction, count in counts.items():
        text = f"datum.value == {count} ? ['{count:,}', '{write_fraction(fraction)}'] : {text}"
    return text


def _find_domain(rows: Sequence[dict[str, Any]]) -> list[float]:
    """From below the lowest value or chance to above the highest, in steps of 0.05."""
    values = [
        value for row in rows for value in (row["value"], row["low"], row["high"], *row["seeds"]) if value is not None
    ]
    low = math.floor((min([*values, CHANCE]) - 0.01) * 20) / 20
    high = math.ceil((max([*values, CHANCE + 0.1]) + 0.01) * 20) / 20
    return [max(round(low, 2), 0.0), min(round(high, 2), 1.0)]


def _list_point() -> list[Spec]:
    return [
        {"field": "method", "type": "nominal"},
        {"field": "images", "type": "quantitative", "title": "labelled images", "format": ","},
        *list_interval("test AUROC, mean of the seeds", ".3f"),
        {"field": "num_seeds", "type": "quantitative", "title": "seeds"},
    ]


def _list_seed() -> list[Spec]:
    return [
        {"field": "method", "type": "nominal"},
        {"field": "seed", "type": "quantitative", "title": "seed number"},
        {"field": "value", "type": "quantitative", "title": "test AUROC", "format": ".3f"},
    ]
