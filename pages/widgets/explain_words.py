"""What is said in words about a heat map: where it was taken, how fine it can be, how it falls on what is marked."""

from collections.abc import Sequence
from typing import Any

from pages.widgets.wording import escape_markdown


def write_localisation(found: dict[str, Any], label: str) -> str:
    """How much of the map lies on the finding, beside what chance alone would put there."""
    share, chance = found["share"], found["chance"]
    place = "inside" if found["is_hit"] else "outside"
    mark = ":material/my_location:" if found["is_hit"] else ":material/location_off:"
    inside = f"**{_write_percent(share)}** of the map's weight lies inside the outline of {escape_markdown(label)}"
    even = f"a map spread evenly would have {_write_percent(chance)} there"
    return f"{mark} {inside}; {even}. Its strongest place lies **{place}**."


def write_cam_facts(answer: dict[str, Any]) -> str:
    """Method, layer and grain of a map, and which image it is of; the image alone where there is no map."""
    if answer["cam_path"] is None:
        return f"Image {_as_code(answer['image'])}."
    facts = f"Grad-CAM at the layer {_as_code(answer['layer'])}, image {_as_code(answer['image'])}."
    return f"{facts}{write_grid(answer['grid'])}"


def write_grid(grid: Sequence[int] | None) -> str:
    """How fine a map can be; begins with a space, empty when it is not known."""
    if grid is None:
        return ""
    rows, columns = grid
    return f" The map has {rows} × {columns} cells, so it cannot be finer than that."


def _write_percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _as_code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"
