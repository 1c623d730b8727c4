"""Which process is meant, and whether it still lives: by pid and creation time, because pids are used again."""

import psutil

CREATION_TOLERANCE_S = 1.0  # the system clock may be adjusted between two readings


def process_identity(pid: int) -> tuple[int, float]:
    """The pid with the unix time at which its process was created.

    Raises:
        psutil.NoSuchProcess: there is no such process.
    """
    return pid, psutil.Process(pid).create_time()


def find_process(pid: int | None, started: float | None) -> psutil.Process | None:
    """The living process of that pid and creation time; None when it ended, is a zombie, or another has its pid."""
    if pid is None or started is None:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    try:
        is_same = abs(process.create_time() - started) <= CREATION_TOLERANCE_S
        return process if is_same and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else None
    except psutil.AccessDenied:  # it exists but is another user's: on Windows not even its age is told
        return process
    except psutil.NoSuchProcess:
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether the process of that pid and creation time still runs; zombies count as dead."""
    return find_process(pid, started) is not None
