"""The CPU can be one device, or several lanes for runs that take a fixed number of its threads each. Light.

A run with `train.cpu_threads` holds a lane, "cpu:0" and so on, and runs beside those of the other lanes; every other
run on the CPU holds "cpu", which means all of it. A new run is given a lane to wait for; the supervisor gives it
another one when that is free earlier.
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


def assign_devices(configs: Iterable[RunConfig]) -> list[str]:
    """The device that each of some new runs waits for: its own, or a lane of the CPU, in turn."""
    devices, num_assigned = [], 0
    for config in configs:
        threads = config.train.cpu_threads
        if config.train.device == CPU and threads:
            devices.append(f"{LANE_PREFIX}{num_assigned % count_lanes(threads)}")
            num_assigned += 1
        else:
            devices.append(config.train.device)
    return devices


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
