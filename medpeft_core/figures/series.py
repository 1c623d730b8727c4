"""From the events of a run to the rows of a chart: positions in epochs, smoothing, thinning, gaps."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

MAX_POINTS = 400  # of one series; more cannot be seen and cost at every tick
MAX_ROWS = 3000  # of one chart
SMOOTHING = 0.8  # weight of the past at each log line; a run logs twenty times an epoch

Item = TypeVar("Item")


class Point(NamedTuple):
    """One value of a series; `value` is None where it did not exist."""

    epoch: float
    step: int | None
    value: float | None


def select(history: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The events of one type, in their order."""
    return [event for event in history if event["type"] == kind]


def collect_points(
    events: list[dict[str, Any]], key: str, steps_per_epoch: float | None, *, label: str | None = None
) -> list[Point]:
    """One point for each event.

    Args:
        key: name of the value in the events.
        steps_per_epoch: as `find_steps_per_epoch` gives it.
        label: takes the value of this label out of a table of labels.
    """
    points = []
    for event in events:
        value = event.get(key)
        if label is not None:
            value = (value or {}).get(label)
        points.append(Point(find_epoch(event, steps_per_epoch), event.get("step"), value))
    return points


def find_steps_per_epoch(history: list[dict[str, Any]], *, epochs: int | None, num_steps: int | None) -> float | None:
    """Optimizer steps in an epoch: from the plan, else from the epochs that are over; None when neither tells."""
    if epochs and num_steps:
        return num_steps / epochs
    for event in history:
        if event["type"] == "epoch" and event.get("step") and event.get("epoch"):
            return float(event["step"]) / float(event["epoch"])
    return None


def find_epoch(event: dict[str, Any], steps_per_epoch: float | None) -> float:
    """Where an event lies on an axis of epochs: 1.5 in the middle of the second one."""
    step = event.get("step")
    if steps_per_epoch and step is not None:
        return float(step) / steps_per_epoch
    return float(event.get("epoch") or 0)


def smooth(points: list[Point]) -> list[Point]:
    """Exponential moving average without the pull towards its start (Kingma & Ba 2015, sec. 3); gaps are left out."""
    smoothed, mean, weight = [], 0.0, 0.0
    for point in points:
        if point.value is None:
            continue
        mean = SMOOTHING * mean + (1 - SMOOTHING) * point.value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append(point._replace(value=mean / weight))
    return smoothed


def thin(items: list[Item], max_items: int = MAX_POINTS) -> list[Item]:
    """At most `max_items` of the events or points, evenly spread, the first and the last among them."""
    if len(items) <= max_items:
        return items
    return [items[round(at * (len(items) - 1) / (max_items - 1))] for at in range(max_items)]


def build_rows(series: dict[str, list[Point]]) -> list[dict[str, Any]]:
    """Rows for all series of a chart, thinned together.

    A line is drawn through the rows of one `piece`; a gap begins a new one. `is_lone` marks a piece of one row, which
    no line would show.
    """
    share = max(2, min(MAX_POINTS, MAX_ROWS // max(len(series), 1)))
    rows = []
    for name, points in series.items():
        for number, piece in enumerate(split_at_gaps(thin(points, share))):
            rows += [
                {
                    "series": name,
                    "piece": number,
                    "epoch": round(point.epoch, 4),
                    "step": point.step,
                    "value": point.value,
                    "is_lone": len(piece) == 1,
                    "is_best": False,
                }
                for point in piece
            ]
    return rows


def split_at_gaps(points: Sequence[Point]) -> list[list[Point]]:
    """The stretches of points that have a value."""
    pieces: list[list[Point]] = [[]]
    for point in points:
        if point.value is not None:
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
