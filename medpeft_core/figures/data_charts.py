"""Charts of a data set as Vega-Lite specs: labels or classes, ages and other groups by split.

A split is told by its place and its name or symbol, never by colour alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from medpeft_core.figures.share_map import LABEL_LIMIT
from medpeft_core.figures.styles import COLOURS

SPLIT_COLOURS = {"train": COLOURS[0], "val": COLOURS[1], "test": COLOURS[2]}
SPLIT_SHAPES = {"train": "circle", "val": "diamond", "test": "square"}
ROW_HEIGHT, GROUP_GAP = 16, 12  # pixels: a split within its group, and between two groups
AXIS_HEIGHT, LEGEND_HEIGHT = 50, 40
LINE_HEIGHT = 18  # pixels, of a label whose splits share a line
LANE_HEIGHT = 74
LANE_SHARE = 0.82  # of a lane that its tallest bar takes

_LABEL_WORDS = {"label": "label", "share": "share of positives", "count": "positive"}
_CLASS_WORDS = {"label": "class", "share": "share of the images of a split", "count": "images"}

Row = dict[str, Any]
Spec = dict[str, Any]


def build_prevalence_chart(rows: Sequence[Row], *, is_exclusive: bool = False) -> Spec:
    """Share of positives of each label by split with its interval, and "positives of known" at the right edge.

    Args:
        rows: as `datasets.counts.count_labels` gives them; where nothing is known of a label in a split, its place
            stays empty but for the words "not known".
        is_exclusive: each image has one of the labels: they are classes.
    """
    words = _CLASS_WORDS if is_exclusive else _LABEL_WORDS
    splits = _list_splits(rows)
    shown = _place([{**row, "count": _write_count(row)} for row in rows], "label", splits)
    highest = max((row["high"] for row in rows if row["high"] is not None), default=1.0)
    x: Spec = {
        "field": "share", "type": "quantitative", "title": words["share"],
        "scale": {"domain": [0, min(1.0, highest * 1.03)], "nice": False},
        "axis": {"format": ".0%", "tickCount": 5},
    }  # fmt: skip
    tooltip = [
        {"field": "label", "title": words["label"]},
        {"field": "split", "title": "split"},
        {"field": "share", "title": words["share"], "format": ".1%"},
        {"field": "low", "title": "95 % interval from", "format": ".1%"},
        {"field": "high", "title": "to", "format": ".1%"},
        {"field": "count", "title": words["count"]},
        {"field": "num_unknown", "title": "not known", "format": ","},
    ]
    left, right = _build_row_axes(shown, "label", texts="count")
    known = [{"filter": "datum.share !== null"}]
    return {
        **frame_chart(shown, height=_measure_rows(shown) + AXIS_HEIGHT + LEGEND_HEIGHT),
        "layer": [
            {
                "transform": known,
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": left, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": _colour(splits)},
            },
            {
                "transform": known,
                "mark": {"type": "point", "filled": True, "size": 75, "opacity": 1},
                "encoding": {
                    "y": right, "x": x, "color": _colour(splits), "shape": _shape(splits), "tooltip": tooltip,
                },
            },
        ],
        "resolve": {"axis": {"y": "independent"}},
    }  # fmt: skip


def build_label_lines(rows: Sequence[Row], *, is_exclusive: bool) -> Spec:
    """The share of many labels: one line a label, a mark for each split on it, and their numbers at the right edge.

    Args:
        rows: as `datasets.counts.count_labels` gives them; the lines are in their order.
        is_exclusive: each image has one of the labels: they are classes.
    """
    words, splits = _CLASS_WORDS if is_exclusive else _LABEL_WORDS, _list_splits(rows)
    labels = list(dict.fromkeys(row["label"] for row in rows))
    height = {label: (place + 0.5) * LINE_HEIGHT for place, label in enumerate(labels)}
    shown = [{**row, "at": height[row["label"]]} for row in rows if row["share"] is not None]
    numbers: dict[str, list[str]] = {label: [] for label in labels}
    for row in rows:
        numbers[row["label"]].append(f"{row['num_positive']:,}" if row["num_known"] else "n/a")
    lines = [{"label": label, "at": height[label], "count": " · ".join(numbers[label])} for label in labels]
    left, right = _build_row_axes(lines, "label", texts="count")
    mark = {
        "x": {
            "field": "share", "type": "quantitative", "title": words["share"], "scale": {"nice": False, "zero": True},
            "axis": {"format": ".0%", "tickCount": 5, "orient": "top"},
        },
        "color": _colour(splits),
        "shape": _shape(splits),
        "tooltip": [
            {"field": "label", "title": words["label"]},
            {"field": "split", "title": "split"},
            {"field": "share", "title": words["share"], "format": ".2%"},
            {"field": "num_positive", "title": "images" if is_exclusive else "positive", "format": ","},
            {"field": "num_known", "title": "of", "format": ","},
        ],
    }  # fmt: skip
    point: Spec = {"type": "point", "filled": True, "size": 45}
    return {
        **frame_chart(shown, height=_measure_rows(lines) + AXIS_HEIGHT + LEGEND_HEIGHT),
        "layer": [
            {"mark": {**point, "opacity": 0}, "encoding": {**mark, "y": left}},  # is there for its axis on the left
            {"mark": {**point, "opacity": 0.85}, "encoding": {**mark, "y": right}},
        ],
        "resolve": {"axis": {"y": "independent"}},
    }


def build_value_chart(rows: Sequence[Row], *, title: str) -> Spec:
    """Bars of each value's share by split, with split, number and share written behind them.

    Args:
        rows: as `datasets.counts.count_values` gives them.
        title: of the values, for the tooltip: "sex".
    """
    splits = _list_splits(rows)
    shown = _place(
        [{**row, "text": f"{row['split']} {row['num_images']:,} ({row['share']:.0%})"} for row in rows], "value", splits
    )
    left, right = _build_row_axes(shown, "value", texts="text")
    x: Spec = {
        "field": "share", "type": "quantitative", "title": "share of the images of a split",
        "scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "tickCount": 5},
    }  # fmt: skip
    colour = {**_colour(splits), "legend": None}
    return {
        **frame_chart(shown, height=_measure_rows(shown) + AXIS_HEIGHT),
        "layer": [
            {
                "mark": {"type": "bar", "orient": "horizontal", "height": ROW_HEIGHT - 4},
                "encoding": {"y": left, "x": x, "color": colour, "tooltip": _share_tooltip(title)},
            },
            {
                "mark": {"type": "point", "opacity": 0},  # is there for its axis on the right
                "encoding": {"y": right, "x": x, "tooltip": _share_tooltip(title)},
            },
        ],
        "resolve": {"axis": {"y": "independent"}},
    }  # fmt: skip


def build_age_chart(rows: Sequence[Row]) -> Spec:
    """A histogram of ages for each split, one below the other on the same axis and the same scale.

    Args:
        rows: as `datasets.counts.count_ages` gives them.
    """
    ages = list(dict.fromkeys(row["value"] for row in rows))
    splits = _list_splits(rows)
    highest = max((row["share"] for row in rows), default=1.0) or 1.0
    names = f"{json.dumps(splits[::-1])}[datum.value]"
    return {
        **frame_chart(list(rows), height=len(splits) * LANE_HEIGHT + AXIS_HEIGHT),
        "transform": [
            {"calculate": f"indexof({json.dumps(splits[::-1])}, datum.split)", "as": "foot"},
            {"calculate": f"datum.foot + datum.share * {LANE_SHARE / highest}", "as": "top"},
        ],
        "mark": {"type": "bar", "width": {"band": 0.9}},
        "encoding": {
            "x": {
                "field": "value", "type": "nominal", "sort": ages, "title": "age in years",
                "axis": {"labelAngle": 0, "labelOverlap": "parity"},
            },
            "y": {
                "field": "top", "type": "quantitative", "title": None,
                "scale": {"domain": [0, len(splits)], "nice": False, "zero": True},
                "axis": {
                    "values": list(range(len(splits))), "labelExpr": names, "labelBaseline": "bottom", "grid": True,
                    "labelFontSize": 12,
                },
            },
            "y2": {"field": "foot"},
            "color": {**_colour(splits), "legend": None},
            "tooltip": _share_tooltip("age"),
        },
    }  # fmt: skip


def frame_chart(rows: list[Row], *, height: int) -> Spec:
    """What every chart of a data set has around its marks: its rows, all the width there is, and a height in pixels."""
    return {
        "data": {"values": rows},
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"view": {"stroke": None}},
    }


def _list_splits(rows: Sequence[Row]) -> list[str]:
    return [name for name in SPLIT_COLOURS if any(row["split"] == name for row in rows)]


def _place(rows: list[Row], group: str, splits: list[str]) -> list[Row]:
    """The rows with `at`, in pixels from above: one below the other, with a gap between two groups."""
    groups = list(dict.fromkeys(row[group] for row in rows))
    height = len(splits) * ROW_HEIGHT + GROUP_GAP
    return [
        {**row, "at": (splits.index(row["split"]) + 0.5) * ROW_HEIGHT + groups.index(row[group]) * height}
        for row in rows
    ]


def _measure_rows(rows: list[Row]) -> int:
    return round(max((row["at"] for row in rows), default=0) + ROW_HEIGHT / 2 + GROUP_GAP)


def _build_row_axes(rows: list[Row], group: str, *, texts: str) -> tuple[Spec, Spec]:
    """The same vertical scale twice: with the groups' names on the left, and a text for each row on the right.

    Texts of an axis have the colour that the page gives them, in both themes; those of marks would need one.
    """
    places: dict[str, list[float]] = {}
    for row in rows:
        places.setdefault(row[group], []).append(row["at"])
    middles = {name: (min(found) + max(found)) / 2 for name, found in places.items()}
    shared = {"grid": False, "ticks": False, "domain": False, "labelOverlap": False, "labelPadding": 6}
    scale = {"domain": [0, _measure_rows(rows)], "reverse": True, "nice": False, "zero": False}
    y: Spec = {"field": "at", "type": "quantitative", "title": None, "scale": scale}
    left = {
        **shared, "orient": "left", "values": list(middles.values()), "labelLimit": LABEL_LIMIT,
        "labelExpr": _look_up(list(middles.values()), list(middles)),
    }  # fmt: skip
    right = {
        **shared, "orient": "right", "values": [row["at"] for row in rows], "labelFontSize": 11, "labelLimit": 180,
        "labelExpr": _look_up([row["at"] for row in rows], [row[texts] for row in rows]),
    }  # fmt: skip
    return {**y, "axis": left}, {**y, "axis": right}


def _look_up(values: list[float], texts: list[str]) -> str:
    """An expression that gives the text of an axis value."""
    return f"{json.dumps(texts)}[indexof({json.dumps(values)}, datum.value)]"


def _colour(splits: list[str]) -> Spec:
    return {
        "field": "split", "type": "nominal", "sort": splits,
        "scale": {"domain": splits, "range": [SPLIT_COLOURS[name] for name in splits]},
        "legend": {"orient": "top", "title": None, "symbolSize": 90, "symbolOpacity": 1},
    }  # fmt: skip


def _shape(splits: list[str]) -> Spec:
    return {**_colour(splits), "scale": {"domain": splits, "range": [SPLIT_SHAPES[name] for name in splits]}}


def _share_tooltip(title: str) -> list[Spec]:
    return [
        {"field": "split", "title": "split"},
        {"field": "value", "title": title},
        {"field": "num_images", "title": "images", "format": ","},
        {"field": "share", "title": "share of the split, where known", "format": ".1%"},
    ]


def _write_count(row: Row) -> str:
    if not row["num_known"]:
        return "not known"
    unknown = f", {row['num_unknown']:,} unknown" if row["num_unknown"] else ""
    return f"{row['num_positive']:,} of {row['num_known']:,}{unknown}"
