"""Still charts of finished runs, as plotly figures: AUROC by label with intervals, and AUROC against size."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from medpeft_core.figures.styles import GREY, SYMBOLS, pick_colour

CHANCE = 0.5
MEAN_NAME = "mean of the labels"
ROW_HEIGHT, RUN_HEIGHT = 16, 15  # pixels: between two labels, and for each run in a label's row
HEADER_HEIGHT, LEGEND_ROW_HEIGHT, AXIS_HEIGHT = 30, 22, 50
SCATTER_HEIGHT = 380
ROW_SHARE = 0.7  # of the distance between two labels that the runs of one take
TRANSPARENT = "rgba(0,0,0,0)"

Result = dict[str, Any]


def build_auroc_forest(results: list[Result], *, names: Mapping[str, str] | None = None) -> go.Figure:
    """Test AUROC of each label with its interval, run beside run; the mean of the labels comes first.

    Args:
        results: as `reports.summary.summarise_result` gives them; those without a test result get no dots.
        names: run id to the name in the legend; the run id where there is none.
    """
    labels = list(dict.fromkeys(label for result in results for label in result["per_class"]))
    figure = go.Figure()
    for index, result in enumerate(results):
        offset = _find_offset(index, len(results))
        dots = []
        for row, label in enumerate([None, *labels]):
            value, low, high = _read_auroc(result, label)
            if value is not None:
                dots.append((value, row + offset, label or MEAN_NAME, low, high))
        figure.add_trace(
            go.Scatter(
                name=_find_name(result, names),
                x=[dot[0] for dot in dots],
                y=[dot[1] for dot in dots],
                customdata=[(dot[2], _describe_interval(*dot[3:])) for dot in dots],
                error_x=_build_error_bars([(dot[0], dot[3], dot[4]) for dot in dots]),
                mode="markers",
                marker=_build_marker(index),
                hovertemplate="%{customdata[0]}: %{x:.3f}%{customdata[1]}<extra>%{fullData.name}</extra>",
            )
        )
    num_rows = len(labels) + 1
    rows_height = num_rows * (ROW_HEIGHT + RUN_HEIGHT * max(len(results), 1))
    _set_layout(figure, num_runs=len(results), height=HEADER_HEIGHT + AXIS_HEIGHT + rows_height)
    figure.add_vline(x=CHANCE, line={"color": GREY, "dash": "dash", "width": 1})
    for row in range(1, num_rows):
        figure.add_hline(y=row - 0.5, line={"color": GREY, "width": 0.5}, opacity=0.5)
    figure.update_xaxes(title="test AUROC", range=_find_range(results, labels), showgrid=True)
    figure.update_yaxes(
        tickvals=list(range(num_rows)),
        ticktext=[f"<b>{MEAN_NAME}</b>", *labels],
        range=[num_rows - 0.5, -0.5],  # the first row on top
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    return figure


def build_param_scatter(results: list[Result], *, names: Mapping[str, str] | None = None) -> go.Figure:
    """Test AUROC (mean of the labels) with its interval against the number of trained parameters, on a log axis.

    Args:
        results, names: as for `build_auroc_forest`; runs without a test result or a count are left out.
    """
    shown = [item for item in results if item["test_auroc"] is not None and item["num_trainable_params"]]
    figure = go.Figure()
    for index, result in enumerate(results):
        if result not in shown:
            continue  # the others keep the colours that they have in the forest
        value, low, high = _read_auroc(result, None)
        figure.add_trace(
            go.Scatter(
                name=_find_name(result, names),
                x=[result["num_trainable_params"]],
                y=[value],
                customdata=[_describe_interval(low, high)],
                error_y=_build_error_bars([(value, low, high)]),
                mode="markers",
                marker={**_build_marker(index), "size": 11},
                hovertemplate="%{x:,} parameters: %{y:.3f}%{customdata}<extra>%{fullData.name}</extra>",
            )
        )
    _set_layout(figure, num_runs=len(shown), height=SCATTER_HEIGHT)
    figure.update_xaxes(title="trained parameters", type="log", dtick=1, exponentformat="SI")
    figure.update_yaxes(title="test AUROC", range=_find_range(shown, []))
    return figure


def _set_layout(figure: go.Figure, *, num_runs: int, height: int) -> None:
    """Transparent, with a legend of one run a line on top, which also fits a phone."""
    legend_height = LEGEND_ROW_HEIGHT * num_runs
    figure.update_layout(
        height=height + legend_height,
        margin={"l": 10, "r": 10, "t": legend_height + 10, "b": AXIS_HEIGHT - 10},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        showlegend=num_runs > 0,
        legend={"orientation": "v", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
        hovermode="closest",
    )


def _find_offset(index: int, num_runs: int) -> float:
    """How far from the middle of its row a run is drawn, the first one uppermost."""
    return ((index + 0.5) / num_runs - 0.5) * ROW_SHARE


def _read_auroc(result: Result, label: str | None) -> tuple[float | None, float | None, float | None]:
    if label is None:
        return result["test_auroc"], result["test_auroc_low"], result["test_auroc_high"]
    figures = result["per_class"].get(label, {})
    return figures.get("auroc"), figures.get("low"), figures.get("high")


def _find_name(result: Result, names: Mapping[str, str] | None) -> str:
    return (names or {}).get(result["run_id"], result["run_id"])


def _build_error_bars(dots: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if high is None else high - value for value, _, high in dots],
        "arrayminus": [0 if low is None else value - low for value, low, _ in dots],
        "thickness": 1.5,
        "width": 3,
    }


def _build_marker(index: int) -> dict[str, Any]:
    return {"color": pick_colour(index), "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 9}


def _describe_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"


def _find_range(results: list[Result], labels: list[str]) -> list[float]:
    """The axis of AUROC: from a little below the lowest bound, and from chance at most, to 1."""
    values = [value for result in results for label in [None, *labels] for value in _read_auroc(result, label)]
    lowest = min((value for value in values if value is not None), default=CHANCE)
    return [max(0.0, min(lowest, CHANCE) - 0.03), 1.01]
