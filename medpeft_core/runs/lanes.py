"""The CPU can be one device, or several lanes for runs that take a fixed number of its threads each. Light.

A run with `train.cpu_threads` holds a lane, "cpu:0" and so on, and runs beside those of the other lanes; every other
run on the CPU holds "cpu", which means all of it. The supervisor gives a waiting run whichever lane is free.
"""

import os
from collections.abc import Iterable

from medpeft_core.config import RunConfig

CPU = "cpu"
LANE_PREFIX = f"{CPU}:"
MAX_LANES = 8  # each worker takes about a gigabyte of memory


def count_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not tell
        return os.cpu_count() or 1


def count_lanes(threads: int) -> int:
    """How many runs of so many threads the CPU takes at once, 1 to `MAX_LANES`."""
    return max(1, min(count_cores() // threads, MAX_LANES))


def find_queue(config: RunConfig) -> str:
    """The device that a new run waits for: its own, or the first lane, which stands for whichever is free."""
    is_sharing = config.train.device == CPU and config.train.cpu_threads > 0
    return f"{LANE_PREFIX}0" if is_sharing else config.train.device


def find_free_lane(device: str, threads: int, busy: Iterable[str]) -> str | None:
    """The lane that a waiting run can have now: the one it waits for, or another; None while none is free.

    Args:
        device: the lane that it waits for.
        threads: that it takes.
        busy: devices that are held or promised.
    """
    lanes = [f"{LANE_PREFIX}{number}" for number in range(count_lanes(threads))]
    if device in lanes:  # else it was queued where there are more cores
        lanes.insert(0, device)
    held = list(busy)
    return next((lane for lane in lanes if not any(are_in_conflict(lane, other) for other in held)), None)


def is_lane(device: str) -> bool:
    """Whether this is the name of a lane of the CPU."""
    return device.startswith(LANE_PREFIX)


def are_in_conflict(first: str, second: str) -> bool:
    """Whether two device names cannot be held at once: the same one, or the whole CPU and one of its lanes."""
    return first == second or (CPU in (first, second) and (is_lane(first) or is_lane(second)))
