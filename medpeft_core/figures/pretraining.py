"""Curves of a pre-training as Vega-Lite specs with their data inside: loss, and how well hidden patches are rebuilt."""

from collections.abc import Collection
from typing import Any

from medpeft_core.figures.legend import build_legend, measure_legend
from medpeft_core.figures.series import Point, build_rows, collect_points, find_steps_per_epoch, select, thin
from medpeft_core.figures.styles import COLOURS, GREY

STEP_NAME, EPOCH_NAME, KEPT_NAME = "loss of single steps", "mean of the epoch", "encoder kept"
ERROR_NAME = "error of the rebuilt patches"
AXIS_HEIGHT = 50
LOSS_HEIGHT, ERROR_HEIGHT = 220, 140  # pixels of the plots
MEAN_FILL = 1.0  # the error of painting with the mean, in units of itself

History = list[dict[str, Any]]
Spec = dict[str, Any]


def build_pretrain_loss_curve(
    history: History, *, epochs: int | None, num_steps: int | None = None, kept_epochs: Collection[int] = ()
) -> Spec:
    """Loss over the epochs: single steps faint, the mean of each epoch bold, epochs whose encoder is kept marked.

    Args:
        history: `Run.history()`; may be empty.
        epochs: planned, the end of the axis; None lets it grow.
        num_steps: optimizer steps planned.
        kept_epochs: counted from 1.
    """
    steps_per_epoch = find_steps_per_epoch(history, epochs=epochs, num_steps=num_steps)
    means = collect_points(select(history, "epoch"), "train_loss", steps_per_epoch)
    kept = [event for event in select(history, "epoch") if event.get("epoch") in kept_epochs]
    rows = build_rows(
        {
            STEP_NAME: collect_points(select(history, "step"), "loss", steps_per_epoch),
            EPOCH_NAME: means,
            KEPT_NAME: collect_points(kept, "train_loss", steps_per_epoch),
        }
    )
    names = [STEP_NAME, EPOCH_NAME, KEPT_NAME]
    colour = {
        "field": "series", "type": "nominal", "sort": None, "legend": _build_legend(names),
        "scale": {"domain": names, "range": [GREY, COLOURS[0], COLOURS[1]]},
    }  # fmt: skip
    spec = _begin(rows, epochs=epochs, title="loss", height=LOSS_HEIGHT + measure_legend(names))
    spec["layer"] = [
        _draw_line(STEP_NAME, colour, width=1, opacity=0.45),
        _draw_line(EPOCH_NAME, colour, width=3),
        _draw_points(EPOCH_NAME, colour, shape="circle", size="datum.is_lone ? 70 : 12", title="loss"),
        _draw_points(KEPT_NAME, colour, shape="diamond", size="110", title="loss"),
    ]
    spec["layer"][-1]["encoding"]["shape"] = {  # in the legend lines are strokes, and the mark is what it is
        **colour, "scale": {"domain": names, "range": ["stroke", "stroke", "diamond"]}
    }  # fmt: skip
    return spec


def build_rebuilt_curve(history: History, *, epochs: int | None, num_steps: int | None = None) -> Spec:
    """Squared error of the rebuilt hidden patches over the epochs, as a share of that of painting them with the mean of
    the visible ones, which is drawn as a dashed line at 100 %.

    Args:
        history: `Run.history()`; its events of type "rebuilt" hold both errors.
        epochs: planned, the end of the axis; None lets it grow.
        num_steps: optimizer steps planned.
    """
    steps_per_epoch = find_steps_per_epoch(history, epochs=epochs, num_steps=num_steps)
    points = list_rebuilt_shares(history, steps_per_epoch)
    rows = build_rows({ERROR_NAME: thin(points)})
    colour = {"value": COLOURS[0]}
    spec = _begin(rows, epochs=epochs, title="share of the error", height=ERROR_HEIGHT)
    highest = max((point.value for point in points if point.value is not None), default=MEAN_FILL)
    spec["encoding"]["y"] |= {
        "scale": {"domain": [0, max(highest, MEAN_FILL) * 1.1], "nice": False},
        "axis": {"format": ".0%", "tickCount": 5},
    }
    spec["layer"] = [
        {
            "data": {"values": [{"value": MEAN_FILL}]},  # a row of its own, else the rule is drawn for every point
            "mark": {"type": "rule", "color": GREY, "strokeDash": [4, 4], "tooltip": "100 %: painted with the mean"},
            "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "y": {"field": "value", "type": "quantitative"}},
        },
        _draw_line(ERROR_NAME, colour, width=2.2),
        _draw_points(ERROR_NAME, colour, shape="circle", size="50", title="share of the error", number_format=".1%"),
    ]
    return spec


def list_rebuilt_shares(history: History, steps_per_epoch: float | None) -> list[Point]:
    """The error of the model over that of the mean for each picture that was rebuilt; None where there is none."""
    events = [{**event, "share": compute_rebuilt_share(event)} for event in select(history, "rebuilt")]
    return collect_points(events, "share", steps_per_epoch)


def compute_rebuilt_share(event: dict[str, Any]) -> float | None:
    """The error of an event of type "rebuilt" as a share of painting with the mean; None where either is missing.

    Args:
        event: with `masked_error` and `mean_fill_error`, mean squared errors over the hidden pixels.
    """
    error, mean = event.get("masked_error"), event.get("mean_fill_error")
    return error / mean if error is not None and mean else None


def _build_legend(names: list[str]) -> Spec:
    """Symbols as the encoding of shapes gives them, small enough for a diamond."""
    legend: Spec = build_legend(names)
    return {**{key: value for key, value in legend.items() if key != "symbolType"}, "symbolSize": 160}


def _begin(rows: list[dict[str, Any]], *, epochs: int | None, title: str, height: int) -> Spec:
    """A chart over the epochs without its layers."""
    x_scale: dict[str, Any] = {"domain": [0, epochs], "nice": False} if epochs else {"domainMin": 0, "nice": True}
    x_axis: dict[str, Any] = {"grid": False, "format": "~f"}
    if not epochs or epochs > 1:
        x_axis["tickMinStep"] = 1
    y_scale = {"zero": False} if rows else {"domain": [0, 1]}  # without a value there is no extent
    return {
        "data": {"values": rows},
        "width": "container",
        "height": height + AXIS_HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epoch", "scale": x_scale, "axis": x_axis},
            "y": {"field": "value", "type": "quantitative", "title": title, "scale": y_scale},
        },
    }


def _draw_line(name: str, colour: Spec, *, width: float, opacity: float = 1.0) -> Spec:
    return {
        "transform": [{"filter": {"field": "series", "equal": name}}],
        "mark": {"type": "line", "interpolate": "linear", "strokeWidth": width, "opacity": opacity},
        "encoding": {"detail": {"field": "piece"}, "color": colour},
    }


def _draw_points(name: str, colour: Spec, *, shape: str, size: str, title: str, number_format: str = ".4~g") -> Spec:
    """Points with tooltips; `size` is an expression in square pixels."""
    return {
        "transform": [{"filter": {"field": "series", "equal": name}}],
        "mark": {"type": "point", "filled": True, "opacity": 1, "shape": shape, "size": {"expr": size}},
        "encoding": {
            "color": colour,
            "tooltip": [
                {"field": "series", "type": "nominal", "title": "curve"},
                {"field": "value", "type": "quantitative", "title": title, "format": number_format},
                {"field": "epoch", "type": "quantitative", "title": "epoch", "format": ".2~f"},
                {"field": "step", "type": "quantitative", "title": "step"},
            ],
        },
    }
