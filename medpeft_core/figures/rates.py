"""ROC and precision-recall curves of several runs over each other, as Vega-Lite specs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.styles import GREY, pick_colour, pick_dash

PLOT_HEIGHT, AXIS_HEIGHT = 320, 46

Spec = dict[str, Any]


class RateLine(NamedTuple):
    """One run's curve.

    `x` and `y` are its points from the left to the right. `point` is what the threshold chosen on val gives: its place
    on the chart and the threshold; None where there is none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    point: tuple[float, float, float] | None


def build_roc_chart(lines: Sequence[RateLine], *, names: Sequence[str]) -> Spec:
    """Sensitivity against the false-positive rate, the diagonal of guessing dashed, thresholds marked.

    Args:
        lines: of those runs that have a curve.
        names: of all compared runs, so that each keeps its colour.
    """
    guess = [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}]
    return _build_chart(
        lines,
        list(names),
        x_title="false-positive rate (1 − specificity)",
        y_title="sensitivity",
        interpolate="linear",
        guesses=[guess],
        guess_text="as good as chance",
    )


def build_precision_recall_chart(
    lines: Sequence[RateLine], *, names: Sequence[str], prevalences: Sequence[float]
) -> Spec:
    """Precision against recall as steps, the prevalence (precision of guessing) dashed, thresholds marked.

    Args:
        lines, names: as for `build_roc_chart`.
        prevalences: of the runs' test images; each different one gets a line.
    """
    levels = sorted({round(value, 6) for value in prevalences})
    return _build_chart(
        lines,
        list(names),
        x_title="recall (sensitivity)",
        y_title="precision",
        interpolate="step-before",
        guesses=[[{"x": 0.0, "y": level}, {"x": 1.0, "y": level}] for level in levels],
        guess_text="prevalence: the precision of guessing",
    )


def _build_chart(
    lines: Sequence[RateLine],
    names: list[str],
    *,
    x_title: str,
    y_title: str,
    interpolate: str,
    guesses: list[list[dict[str, float]]],
    guess_text: str,
) -> Spec:
    drawn = [line.name for line in lines]
    rows = [
        {"series": line.name, "at": at, "x": round(float(x), 5), "y": round(float(y), 5)}
        for line in lines
        for at, (x, y) in enumerate(zip(line.x, line.y, strict=True))
    ]
    points = [
        {"series": line.name, "x": line.point[0], "y": line.point[1], "threshold": line.point[2]}
        for line in lines
        if line.point is not None
    ]
    colour: Spec = {
        "field": "series",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": names, "range": [pick_colour(index) for index in range(len(names))]},
        "legend": {**build_legend(drawn, orient="top"), "values": drawn} if len(drawn) > 1 else None,
    }
    dash = {**colour, "scale": {"domain": names, "range": [pick_dash(index) for index in range(len(names))]}}
    unit = {"type": "quantitative", "scale": {"domain": [0, 1], "nice": False}, "axis": {"tickCount": 5}}
    place = {
        "x": {"field": "x", "title": x_title, **unit},
        "y": {"field": "y", "title": y_title, **unit},
    }
    shown = [
        {"field": "series", "type": "nominal", "title": "run"},
        {"field": "x", "type": "quantitative", "title": x_title, "format": ".3f"},
        {"field": "y", "type": "quantitative", "title": y_title, "format": ".3f"},
    ]
    return {
        "width": "container",
        "height": PLOT_HEIGHT + AXIS_HEIGHT + measure_legend(drawn),
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{**row, "guess": number} for number, pair in enumerate(guesses) for row in pair]},
                "mark": {"type": "line", "color": GREY, "strokeDash": [4, 4], "strokeWidth": 1, "tooltip": guess_text},
                "encoding": {**place, "detail": {"field": "guess"}},
            },
            {
                "mark": {"type": "line", "interpolate": interpolate, "strokeWidth": 2},
                "encoding": {**place, "order": {"field": "at"}, "color": colour, "strokeDash": dash, "tooltip": shown},
            },
            *([] if not points else [_build_point_layer(points, place, colour, shown)]),
        ],
    }


def _build_point_layer(points: list[dict[str, Any]], place: Spec, colour: Spec, shown: list[Spec]) -> Spec:
    threshold = {"field": "threshold", "type": "quantitative", "title": "threshold", "format": ".3f"}
    return {
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "stroke": "white"},
        "encoding": {**place, "color": colour, "tooltip": [*shown, threshold]},
    }
