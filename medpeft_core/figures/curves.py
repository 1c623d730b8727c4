"""Curves of a run as Vega-Lite specs with their data inside; the spec stays the same while the data grow.

A browser redraws a chart whose spec changes, and moves one whose data change: so everything that grows is in the rows.
"""

import math
from collections.abc import Mapping
from typing import Any

from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.series import build_rows, collect_points, find_steps_per_epoch, select, smooth, thin
from medpeft_core.figures.styles import COLOURS, GREY, pick_colour, pick_dash

CHANCE = 0.5
AUROC_LOW = 0.4
MEAN_NAME = "mean of the labels"
PLOT_HEIGHT, SMALL_PLOT_HEIGHT = 240, 140
AXIS_HEIGHT = 50

History = list[dict[str, Any]]
Spec = dict[str, Any]


def build_learning_curves(
    history: History,
    *,
    labels: tuple[str, ...] | list[str],
    epochs: int | None,
    num_steps: int | None = None,
    show_labels: bool = True,
) -> Spec:
    """Val AUROC over the epochs: the mean of the labels bold, each label faint, chance dashed, kept weights marked.

    Args:
        history: `Run.history()`; may be empty.
        labels: their names, in the order of the legend.
        epochs: planned, the end of the axis; None lets it grow.
        num_steps: optimizer steps planned, for evaluations inside an epoch.
        show_labels: whether to draw the labels; with a single one there is nothing more to see.
    """
    steps_per_epoch = find_steps_per_epoch(history, epochs=epochs, num_steps=num_steps)
    evals = select(history, "eval")
    drawn = thin(evals)
    shown = labels if show_labels and len(labels) > 1 else ()
    series = {label: collect_points(drawn, "val_auroc_per_class", steps_per_epoch, label=label) for label in shown}
    series[MEAN_NAME] = collect_points(drawn, "val_auroc", steps_per_epoch)  # last: on top of the others
    rows = build_rows(series)
    best = [event for event in evals if event.get("is_best") and event.get("val_auroc") is not None]
    kept = build_rows({MEAN_NAME: collect_points(best[-1:], "val_auroc", steps_per_epoch)})
    rows += [{**row, "is_best": True, "is_lone": False} for row in kept]
    styles = {MEAN_NAME: (COLOURS[0], pick_dash(0))} | {
        label: (pick_colour(index, first=1), pick_dash(index)) for index, label in enumerate(shown)
    }
    return _build_chart(
        rows,
        styles,
        epochs=epochs,
        y={"title": "val AUROC", "scale": {"domain": [_find_low(rows), 1.0]}, "axis": {"format": ".1f"}},
        extra_layers=[_chance_layer(), *_best_layers()],
        faint=bool(shown),
        height=PLOT_HEIGHT,
    )


def build_curve_overlay(
    histories: Mapping[str, History], *, steps_per_epoch: Mapping[str, float] | None = None
) -> Spec:
    """Val AUROC (mean of the labels) of several runs over each other.

    Args:
        histories: name of a run, as the legend shows it, to its history.
        steps_per_epoch: by name, where it is known; else it is taken from the epochs that are over.
    """
    series = {}
    for name, history in histories.items():
        steps = (steps_per_epoch or {}).get(name) or find_steps_per_epoch(history, epochs=None, num_steps=None)
        series[name] = collect_points(thin(select(history, "eval")), "val_auroc", steps)
    rows = build_rows(series)
    return _build_chart(
        rows,
        {name: (pick_colour(index), pick_dash(index)) for index, name in enumerate(series)},
        epochs=None,
        y={
            "title": "val AUROC",
            "scale": {"domain": [_find_low(rows), 1.0]},
            "axis": {"format": ".1f", "tickCount": 6},
        },
        extra_layers=[_chance_layer()],
        height=PLOT_HEIGHT,
    )


def build_loss_curve(history: History, *, epochs: int | None, num_steps: int | None = None) -> Spec:
    """Training loss, smoothed over the last log lines, and val loss over the epochs."""
    steps_per_epoch = find_steps_per_epoch(history, epochs=epochs, num_steps=num_steps)
    series = {
        "training loss, smoothed": smooth(collect_points(select(history, "step"), "loss", steps_per_epoch)),
        "val loss": collect_points(thin(select(history, "eval")), "val_loss", steps_per_epoch),
    }
    styles = {name: (pick_colour(index), pick_dash(index)) for index, name in enumerate(series)}
    y = {"title": "loss", "scale": {"zero": False}}
    return _build_chart(build_rows(series), styles, epochs=epochs, y=y, height=PLOT_HEIGHT)


def build_lr_curve(history: History, *, epochs: int | None, num_steps: int | None = None) -> Spec:
    """Learning rate over the epochs."""
    return _build_step_curve(history, "lr", "learning rate", epochs=epochs, num_steps=num_steps, number_format="~g")


def build_speed_curve(history: History, *, epochs: int | None, num_steps: int | None = None) -> Spec:
    """Training images per second over the epochs, evaluations left out."""
    return _build_step_curve(
        history, "images_per_s", "images per second", epochs=epochs, num_steps=num_steps, number_format="~s"
    )


def _build_step_curve(
    history: History, key: str, title: str, *, epochs: int | None, num_steps: int | None, number_format: str
) -> Spec:
    steps_per_epoch = find_steps_per_epoch(history, epochs=epochs, num_steps=num_steps)
    rows = build_rows({title: collect_points(thin(select(history, "step")), key, steps_per_epoch)})
    y = {"title": title, "scale": {"zero": True}, "axis": {"format": number_format}}
    return _build_chart(rows, {title: (COLOURS[0], pick_dash(0))}, epochs=epochs, y=y, height=SMALL_PLOT_HEIGHT)


def _build_chart(
    rows: list[dict[str, Any]],
    styles: dict[str, tuple[str, list[int]]],
    *,
    epochs: int | None,
    y: dict[str, Any],
    height: int,
    extra_layers: list[Spec] | None = None,
    faint: bool = False,
) -> Spec:
    """Lines with a legend below, lone points, tooltips.

    Args:
        rows: as `build_rows` gives them.
        styles: series to colour and dash, in the order of the legend.
        epochs: end of the horizontal axis.
        y: the vertical axis.
        height: of the plot in pixels; axis and legend come on top.
        extra_layers: drawn above the lines, by their own data or filters.
        faint: draw the first series bold and the others faint.
    """
    if not rows and "domain" not in y.get("scale", {}):
        y = {**y, "scale": {"domain": [0, 1]}}  # without a value there is no extent
    x_scale: dict[str, Any] = {"domain": [0, epochs], "nice": False} if epochs else {"domainMin": 0, "nice": True}
    x_axis: dict[str, Any] = {"grid": False, "format": "~f"}
    if not epochs or epochs > 1:  # a single one is cut into parts, else its curve would have no scale
        x_axis["tickMinStep"] = 1
    colour = {
        "field": "series", "type": "nominal", "sort": None,
        "legend": build_legend(list(styles)) if len(styles) > 1 else None,
        "scale": {"domain": list(styles), "range": [colour for colour, _ in styles.values()]},
    }  # fmt: skip
    dash = {**colour, "scale": {"domain": list(styles), "range": [dash for _, dash in styles.values()]}}
    return {
        "data": {"values": rows},
        "width": "container",
        "height": height + AXIS_HEIGHT + measure_legend(list(styles)),
        "autosize": {"type": "fit", "contains": "padding"},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epoch", "scale": x_scale, "axis": x_axis},
            "y": {"field": "value", "type": "quantitative", **y},
        },
        "layer": [
            _line_layer(colour, dash, bold=next(iter(styles)) if faint else None),
            _point_layer(colour, y["title"]),
            *(extra_layers or []),
        ],
    }


def _line_layer(colour: Spec, dash: Spec, *, bold: str | None) -> Spec:
    """The curves, all alike, or with one that is bold and the others faint."""
    width: Spec = {"value": 2.2}
    opacity: Spec = {"value": 1}
    if bold is not None:
        is_bold = {"field": "series", "equal": bold}
        width = {"condition": {"test": is_bold, "value": 3}, "value": 1.3}
        opacity = {"condition": {"test": is_bold, "value": 1}, "value": 0.65}
    return {
        "transform": [{"filter": "!datum.is_best"}],
        "mark": {"type": "line", "interpolate": "linear"},
        "encoding": {
            "detail": {"field": "piece"},
            "color": colour,
            "strokeDash": dash,
            "strokeWidth": width,
            "opacity": opacity,
        },
    }


def _point_layer(colour: Spec, title: str) -> Spec:
    """Lone points, of which a line shows nothing; the others are invisible and carry the tooltips."""
    return {
        "transform": [{"filter": "!datum.is_best"}],
        "mark": {"type": "point", "filled": True, "size": 60},
        "encoding": {
            "color": colour,
            "opacity": {"condition": {"test": "datum.is_lone", "value": 1}, "value": 0},
            "tooltip": _tooltip(title),
        },
    }


def _tooltip(title: str) -> list[dict[str, Any]]:
    return [
        {"field": "series", "type": "nominal", "title": "curve"},
        {"field": "value", "type": "quantitative", "title": title, "format": ".4~g"},
        {"field": "epoch", "type": "quantitative", "title": "epoch", "format": ".2~f"},
        {"field": "step", "type": "quantitative", "title": "step"},
    ]


def _chance_layer() -> Spec:
    return {
        "data": {"values": [{"chance": CHANCE}]},  # its own single row, else it would be drawn once for every point
        "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "0.5: as good as chance"},
        "encoding": {
            "x": {"value": 0},
            "x2": {"value": "width"},
            "y": {"field": "chance", "type": "quantitative"},
        },
    }


def _best_layers() -> list[Spec]:
    kept = [{"filter": "datum.is_best"}]
    point = {"type": "point", "filled": True, "size": 110, "color": COLOURS[0], "opacity": 1}
    text = {
        "type": "text", "dy": -13, "fontSize": 13, "fontWeight": "bold", "color": COLOURS[0],
        "align": {"expr": "datum.epoch > 0.9 * domain('x')[1] ? 'right' : 'center'"},  # never beyond the plot
    }  # fmt: skip
    return [
        {"transform": kept, "mark": point, "encoding": {"tooltip": _tooltip("val AUROC, weights kept")}},
        {"transform": kept, "mark": text, "encoding": {"text": {"field": "value", "format": ".3f"}}},
    ]


def _find_low(rows: list[dict[str, Any]]) -> float:
    """Where the axis of AUROC begins: always at the same place, unless a value lies lower."""
    lowest = min((row["value"] for row in rows), default=AUROC_LOW)
    return AUROC_LOW if lowest >= AUROC_LOW else math.floor(lowest * 5) / 5
