"""LoRA minus full in the first lesson as a Vega-Lite spec: a forest of differences with their intervals. Light."""

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
    name_side,
    pick_look,
    write_fraction,
    write_inside,
)
from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.styles import COLOURS, GREY

ROW_HEIGHT, LABEL_LIMIT, AXIS_HEIGHT = 22, 150, 46  # pixels
SMALLEST_LIMIT = 0.02  # of the axis, else noise would fill it
UNCLEAR, NO_INTERVAL = "cannot be told apart", "no interval yet"


def judge_difference(row: dict[str, Any]) -> str:
    """What the interval of a difference says: "LoRA better", "full better", or that it says neither.

    Args:
        row: of `differences` in the result: `first`, `second`, and `low` and `high` of second minus first.
    """
    low, high = row.get("low"), row.get("high")
    if low is None or high is None:
        return NO_INTERVAL
    if low <= 0 <= high:
        return UNCLEAR
    return name_side(row["second"] if low > 0 else row["first"])


def build_difference_forest(result: Result, *, first: str = "full", second: str = "lora") -> Spec:
    """Test AUROC of `second` minus that of `first`, with intervals: at each number of images the mean, then findings.

    A mark has the colour of the better method, and points to its side, where the interval leaves 0 out.

    Args:
        result: of the lesson.
        first, second: methods.
    """
    found = {
        (row["fraction"], row["label"]): row
        for row in result["differences"]
        if (row["first"], row["second"]) == (first, second) and row["mean"] is not None
    }
    names: list[str] = []
    rows, heads = [], []
    for fraction, count in count_images(result).items():
        labels = [label for label in (MACRO, *result["labels"]) if (fraction, label) in found]
        if not labels:
            continue
        heads.append({"at": len(names)})
        names.append(f"{count:,} images ({write_fraction(fraction)})")
        for label in labels:
            rows.append(_build_difference(found[fraction, label], count, len(names)))
            names.append(name_label(label))
    sides = {"second": name_side(second), "first": name_side(first)}
    limit = _find_limit(rows)
    x = {
        "type": "quantitative",
        "title": f"test AUROC, {name_method(second)} minus {write_inside(first)}",
        "scale": {"domain": [-limit, limit], "nice": False},
        "axis": {"tickCount": 5, "format": "+.2f"},
    }
    y = {
        "field": "at",
        "type": "ordinal",
        "title": None,
        "scale": {"domain": list(range(len(names))), "paddingInner": 0.2, "paddingOuter": 0.1},
        "axis": {
            "labelExpr": f"{names!r}[datum.value]" if names else "''",
            "labelFontWeight": {
                "condition": {"test": f"indexof({[head['at'] for head in heads]}, datum.value) >= 0", "value": "bold"},
                "value": "normal",
            },
            "labelLimit": LABEL_LIMIT,
            "labelPadding": 8,
            "grid": True,
            "tickBand": "extent",
            "ticks": False,
            "domain": False,
        },
    }
    shown = [name for name in (sides["first"], sides["second"], UNCLEAR, NO_INTERVAL) if _is_said(rows, name)]
    look = {
        sides["first"]: (pick_look(first, COLOURS), "triangle-left"),
        sides["second"]: (pick_look(second, COLOURS), "triangle-right"),
        UNCLEAR: (GREY, "circle"),
        NO_INTERVAL: (GREY, "stroke"),
    }
    legend = build_legend(shown, orient="top", is_line=False) if len(shown) > 1 else None
    said: Spec = {"field": "says", "type": "nominal", "sort": None, "legend": legend}
    colour = {**said, "scale": {"domain": shown, "range": [look[name][0] for name in shown]}}
    shape = {**said, "scale": {"domain": shown, "range": [look[name][1] for name in shown]}}
    shared = {"y": y, "color": colour, "tooltip": _list_difference()}
    words = {"fontSize": 12, "baseline": "middle", "fontStyle": "italic"}
    return {
        "width": "container",
        "height": ROW_HEIGHT * max(len(names), 1) + AXIS_HEIGHT + (measure_legend(shown) if legend else 0),
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{"zero": 0.0}]},
                "mark": {"type": "rule", "color": GREY, "strokeWidth": 1.5, "tooltip": "0: no difference"},
                "encoding": {"x": {"field": "zero", **x}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, **shared},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "strokeWidth": 0},
                "encoding": {"x": {"field": "value", **x}, "shape": shape, **shared},
            },
            *(
                {
                    "data": {"values": [{**head, "zero": 0.0} for head in heads]},
                    "mark": {"type": "text", "align": align, "dx": shift, "text": text, **words},
                    "encoding": {"x": {"field": "zero", **x}, "y": y},
                }
                for align, shift, text in (
                    ("right", -8, f"← {sides['first']}"),
                    ("left", 8, f"{sides['second']} →"),
                )
            ),
        ],
    }


def _build_difference(row: Result, num_images: int, at: int) -> dict[str, Any]:
    return {
        "at": at,
        "fraction": row["fraction"],
        "images": num_images,
        "label": name_label(row["label"]),
        "second": row["second"],
        "first": row["first"],
        "value": row["mean"],
        "low": row["low"],
        "high": row["high"] if row["low"] is not None else None,
        "num_seeds": row["num_seeds"],
        "num_seeds_better": row["num_seeds_better"],
        "says": judge_difference(row),
    }


def _find_limit(rows: Sequence[dict[str, Any]]) -> float:
    values = [abs(row[name]) for row in rows for name in ("value", "low", "high") if row[name] is not None]
    return 1.1 * max([*values, SMALLEST_LIMIT])


def _is_said(rows: Sequence[dict[str, Any]], text: str) -> bool:
    return any(row["says"] == text for row in rows)


def _list_difference() -> list[Spec]:
    return [
        {"field": "label", "type": "nominal", "title": "finding"},
        {"field": "images", "type": "quantitative", "title": "labelled images", "format": ","},
        *list_interval("difference", "+.3f"),
        {"field": "num_seeds_better", "type": "quantitative", "title": "seeds in which it is above 0"},
        {"field": "num_seeds", "type": "quantitative", "title": "of seeds"},
        {"field": "says", "type": "nominal", "title": "the interval says"},
    ]
