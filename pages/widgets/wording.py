"""How numbers, times and states are written on every page."""

import re
import time

DISCLAIMER = "Research and teaching only, not for clinical use."
SYNTHETIC = "Synthetic images, drawn by this lab; no patient was imaged."

STATUS_ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/play_circle:",
    "paused": ":material/pause_circle:",
    "stopped": ":material/stop_circle:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/power_off:",
    "cancelled": ":material/block:",
}
STATUS_COLOURS = {
    "queued": "gray",
    "running": "blue",
    "paused": "gray",
    "stopped": "orange",
    "finished": "green",
    "failed": "red",
    "interrupted": "orange",
    "cancelled": "gray",
}

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:])")


def escape_markdown(text: str) -> str:
    """Text that markdown shows as it is, for messages with paths and names from files."""
    return _MARKS.sub(r"\\\1", text).replace("\n", "  \n")


def name_labels(task: str | None, number: int = 2) -> str:
    """What a run tells apart: "classes" where they exclude each other, else "labels"; in the singular for one.

    Args:
        task: of the run, None where it is not known.
        number: how many.
    """
    if task == "multiclass":
        return "class" if number == 1 else "classes"
    return "label" if number == 1 else "labels"


def write_count(value: float | None) -> str:
    """A number of parameters or images, short: 11.2 M, 75.1 k, 812."""
    if value is None:
        return "n/a"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f}"


def write_bytes(value: float | None) -> str:
    """A size in binary units: 340 MiB."""
    if value is None:
        return "n/a"
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def write_duration(seconds: float | None) -> str:
    """A time span for people: 8 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "n/a"
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def write_ago(moment: float | None) -> str:
    """How long ago something was, from its unix time: just now, 12 s ago, 3 min ago, 2 days ago."""
    if not moment:
        return "never"
    seconds = time.time() - moment
    if seconds < 3:
        return "just now"
    if seconds < 86_400:
        return f"{write_duration(seconds if seconds < 600 else seconds // 60 * 60)} ago"
    days = int(seconds // 86_400)
    return f"{days} day{'s' if days > 1 else ''} ago"


def write_auroc(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """An AUROC with its interval: 0.861 (0.842 to 0.880); n/a where it has no meaning."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def write_share(part: float | None, whole: float | None) -> str:
    """A share in percent with as many digits as it needs: 100 %, 1.37 %, 0.084 %."""
    if part is None or not whole:
        return "n/a"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
