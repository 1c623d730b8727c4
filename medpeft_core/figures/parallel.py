"""Many runs at a glance, as a plotly figure: an axis for each setting in which they differ, and their results. Light.

Parallel coordinates want brushing, which Vega-Lite does not have: drag along an axis to keep the runs within, drag an
axis to move it.
"""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from medpeft_core.figures.styles import GREY
from medpeft_core.runs.run_ids import shorten_backbone

TRANSPARENT = "rgba(0,0,0,0)"
COLOUR_SCALE = ((0.0, "#479ccc"), (1.0, "#d55e00"))  # both seen on white and on dark; the height says the same
HEIGHT = 380
MAX_TICKS = 12
LOG_SPREAD = 20.0  # axes whose largest value is so many times the smallest go by the logarithm
# Axis title, and what a summary says; text makes an axis of names, numbers one of numbers.
SETTINGS = (
    ("data set", "dataset"), ("label fraction", "fraction"), ("backbone", "backbone"), ("weights", "weights"),
    ("image size", "image_size"), ("method", "method"), ("rank", "rank"), ("seed", "seed"),
    ("trained parameters", "num_trainable_params"),
)  # fmt: skip
RESULTS = (("val AUROC", "val_auroc"), ("test AUROC", "test_auroc"))

Summary = dict[str, Any]


def collect_settings(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """A row for each run that has a test AUROC: its id, every setting in which these differ, and its results.

    Args:
        summaries: as `runs.listing.list_summaries` gives them.
    """
    found = [
        {"run_id": item["run_id"], **_read(item)} for item in summaries if _read(item).get("test_auroc") is not None
    ]
    kept = [name for _, name in SETTINGS if len({str(row[name]) for row in found}) > 1]
    return [{name: row[name] for name in ("run_id", *kept, *(name for _, name in RESULTS))} for row in found]


def build_settings_chart(rows: Sequence[dict[str, Any]], *, ink: str = GREY) -> go.Figure:
    """A line for each run across its settings to its test AUROC, which also gives the colour.

    Args:
        rows: of `collect_settings`, at least one.
        ink: colour of the words.
    """
    titles = dict((name, title) for title, name in (*SETTINGS, *RESULTS))
    names = [name for name in titles if name in rows[0]]
    results = [name for _, name in RESULTS]
    figure = go.Figure(
        go.Parcoords(
            dimensions=[
                _build_axis(titles[name], [row[name] for row in rows], is_result=name in results) for name in names
            ],
            line={
                "color": [row["test_auroc"] for row in rows],
                "colorscale": [list(stop) for stop in COLOUR_SCALE],
                "showscale": False,
            },
            labelangle=-20,
            labelside="top",
            labelfont={"color": ink, "size": 13},
            tickfont={"color": ink, "size": 12},
            rangefont={"color": TRANSPARENT},  # it would lie on the ticks
        )
    )
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 70, "r": 50, "t": 110, "b": 40},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
    )
    return figure


def _read(summary: Summary) -> dict[str, Any]:
    figures = summary.get("metrics") or {}
    settings = {name: summary.get(name) for _, name in SETTINGS}
    settings["backbone"] = shorten_backbone(str(settings["backbone"]))  # long names lie on each other
    settings["rank"] = (summary.get("knobs") or {}).get("rank")
    return {**settings, **{name: figures.get(name) for _, name in RESULTS}}


def _build_axis(title: str, values: list[Any], *, is_result: bool) -> dict[str, Any]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if is_result and len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        room = max((high - low) * 0.05, 0.005)
        return {"label": title, "values": values, "range": [low - room, high + room], "tickformat": ".3f"}
    if len(numbers) == len(values) and len(set(values)) > MAX_TICKS:
        return _build_number_axis(title, values)
    return _build_name_axis(title, values)


def _build_number_axis(title: str, values: list[float]) -> dict[str, Any]:
    if min(values) > 0 and max(values) / min(values) > LOG_SPREAD:
        logs = [math.log10(value) for value in values]
        powers = list(range(math.floor(min(logs)), math.ceil(max(logs)) + 1))
        ticks = {"tickvals": powers, "ticktext": [f"{10.0**power:g}" for power in powers]}
        return {"label": title, "values": logs, "range": [powers[0], powers[-1]], **ticks}
    return {"label": title, "values": values}


def _build_name_axis(title: str, values: list[Any]) -> dict[str, Any]:
    """Each value that occurs at a place of its own, in order; runs that lack it lie at "none"."""
    known = sorted({value for value in values if value is not None}, key=lambda value: (isinstance(value, str), value))
    places = [*([None] if None in values else []), *known]
    texts = ["none" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in places]
    return {
        "label": title,
        "values": [places.index(value) for value in values],
        "range": [-0.3, len(places) - 0.7],
        "tickvals": list(range(len(places))),
        "ticktext": texts,
    }
