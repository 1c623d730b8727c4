"""What several processes change at once: device locks, queue, heartbeats, stop requests, and a cache of the listing.

The run folders win on everything durable; this file can be deleted at any time.
"""

import contextlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

from medpeft_core.errors import RunError
from medpeft_core.runs.database import LabDatabase
from medpeft_core.runs.lanes import are_in_conflict
from medpeft_core.runs.liveness import is_alive
from medpeft_core.runs.run import Run, find_all_runs
from medpeft_core.runs.states import QUEUED, RUNNING

_SELECT_LOCKS = "SELECT device, run_id, pid, pid_started, is_worker FROM locks"
_SELECT_QUEUE = "SELECT run_id, device, position FROM queue ORDER BY position"


class DeviceLock(NamedTuple):
    """Who holds a device: a run, and the process that works for it.

    `is_worker` is false while that process is the one that will start the worker or has just started it.
    """

    device: str
    run_id: str
    pid: int
    pid_started: float
    is_worker: bool


class QueuedRun(NamedTuple):
    """A run that waits for its turn on a device; a run that is queued again gets another `position`."""

    run_id: str
    device: str
    position: int


class StopRequest(NamedTuple):
    """Somebody wants a run to stop; `acknowledged_at` is None until its worker has heard. Unix seconds."""

    run_id: str
    requested_at: float
    acknowledged_at: float | None


class Overview(NamedTuple):
    """All that a supervisor decides by, seen as of one moment: locks also of dead processes, the next run first."""

    locks: list[DeviceLock]
    queue: list[QueuedRun]
    stops: list[StopRequest]


class LabIndex:
    """`lab.sqlite` of one home; may be used from several threads and processes.

    Args:
        home: the lab's folder. Nothing is opened before the first call.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "lab.sqlite"
        self._database = LabDatabase(self.path, self._refill)

    def claim_device(self, device: str, run_id: str, pid: int, pid_started: float) -> bool:
        """Lock a device for a run; false when a living process holds it. The lock of a dead process is taken over.

        The whole CPU and its lanes are never held at once (`runs.lanes`).
        """

        def claim(connection: sqlite3.Connection) -> bool:
            for lock in _read_locks(connection, device):
                if lock[:4] == (device, run_id, pid, pid_started):
                    return True
                if is_alive(lock.pid, lock.pid_started):
                    return False
            row = (device, run_id, pid, pid_started, False)
            connection.execute("INSERT OR REPLACE INTO locks VALUES (?, ?, ?, ?, ?)", row)
            return True

        return self._database.change(claim)

    def hand_over_device(self, device: str, run_id: str, pid: int, pid_started: float) -> bool:
        """Let the worker `pid` take the lock that whoever started it claimed for its run.

        Returns:
            False when the run does not hold the device, or another living worker took the lock before.
        """

        def hand_over(connection: sqlite3.Connection) -> bool:
            query = "SELECT pid, pid_started, is_worker FROM locks WHERE device=? AND run_id=?"
            row = connection.execute(query, (device, run_id)).fetchone()
            if row is None or (row[2] and row[0] != pid and is_alive(row[0], row[1])):
                return False
            update = "UPDATE locks SET pid=?, pid_started=?, is_worker=1 WHERE device=?"
            connection.execute(update, (pid, pid_started, device))
            return True

        return self._database.change(hand_over)

    def release_device(self, device: str, run_id: str) -> None:
        """Free a device, if this run holds it."""
        self._execute("DELETE FROM locks WHERE device=? AND run_id=?", device, run_id)

    def release_lock(self, lock: DeviceLock) -> None:
        """Free a device, if exactly this lock still holds it."""
        delete = "DELETE FROM locks WHERE device=? AND run_id=? AND pid=? AND pid_started=? AND is_worker=?"
        self._execute(delete, *lock)

    def release_claims(self, run_id: str) -> None:
        """Free what was claimed for a run, unless a worker has taken it over: that one frees it when it ends."""
        self._execute("DELETE FROM locks WHERE run_id=? AND is_worker=0", run_id)

    def release_run(self, run_id: str) -> None:
        """Free whatever the run holds and forget its heartbeat and stop request: its worker ended."""

        def release(connection: sqlite3.Connection) -> None:
            for table in ("locks", "heartbeats", "stops"):
                connection.execute(f"DELETE FROM {table} WHERE run_id=?", (run_id,))

        self._database.change(release)

    def device_holder(self, device: str) -> DeviceLock | None:
        """Who holds a device now, or a part of it; None when it is free, also when its holder died."""
        locks = self._database.read(lambda connection: _read_locks(connection, device))
        return next((lock for lock in locks if is_alive(lock.pid, lock.pid_started)), None)

    def locks_of(self, run_id: str) -> list[DeviceLock]:
        """The locks that living processes hold for a run."""
        rows = self._select(f"{_SELECT_LOCKS} WHERE run_id=?", run_id)
        return [lock for lock in map(_make_lock, rows) if is_alive(lock.pid, lock.pid_started)]

    def overview(self) -> Overview:
        """Every lock, the queue and every stop request."""

        def look(connection: sqlite3.Connection) -> Overview:
            locks = connection.execute(f"{_SELECT_LOCKS} ORDER BY device").fetchall()
            queue = connection.execute(_SELECT_QUEUE).fetchall()
            stops = connection.execute("SELECT run_id, requested_at, acknowledged_at FROM stops").fetchall()
            return Overview([*map(_make_lock, locks)], [*map(QueuedRun._make, queue)], [*map(StopRequest._make, stops)])

        return self._database.read(look)

    def enqueue(self, run_id: str, device: str) -> None:
        """Put a run at the end of the queue; one that is queued keeps its place. An old stop request is forgotten."""

        def enqueue(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM stops WHERE run_id=?", (run_id,))
            connection.execute("INSERT OR IGNORE INTO queue (run_id, device) VALUES (?, ?)", (run_id, device))

        self._database.change(enqueue)

    def dequeue(self, run_id: str) -> bool:
        """Take a run out of the queue; false when it was not in it, for example because another process was faster."""
        delete = "DELETE FROM queue WHERE run_id=?"
        return self._database.change(lambda connection: connection.execute(delete, (run_id,)).rowcount == 1)

    def queued(self) -> list[QueuedRun]:
        """The waiting runs, the next one first."""
        return [QueuedRun(*row) for row in self._select(_SELECT_QUEUE)]

    def remove_queued(self, entry: QueuedRun) -> None:
        """Take this entry out of the queue; when the run was queued again meanwhile, it stays where it is now."""
        self._execute("DELETE FROM queue WHERE run_id=? AND position=?", entry.run_id, entry.position)

    def beat(self, run_id: str) -> bool:
        """Note that the run's worker lives; false when it could not be noted (a full disk must not end a training)."""
        try:
            self._execute("INSERT OR REPLACE INTO heartbeats VALUES (?, ?)", run_id, time.time())
        except (RunError, OSError):
            return False
        return True

    def last_beat(self, run_id: str) -> float | None:
        """When the worker was last heard of, in unix seconds."""
        return next((row[0] for row in self._select("SELECT time FROM heartbeats WHERE run_id=?", run_id)), None)

    def request_stop(self, run_id: str) -> None:
        """Ask the run's worker to stop; it looks twice a second."""
        self._execute("INSERT OR IGNORE INTO stops VALUES (?, ?, NULL)", run_id, time.time())

    def is_stop_requested(self, run_id: str) -> bool:
        """Whether somebody asked, and the worker has not ended since."""
        return bool(self._select("SELECT 1 FROM stops WHERE run_id=?", run_id))

    def acknowledge_stop(self, run_id: str) -> None:
        """Say, as the worker, that the request was seen; also when it came by a signal."""
        now = time.time()
        conflict = "ON CONFLICT (run_id) DO UPDATE SET acknowledged_at=excluded.acknowledged_at"
        self._execute(f"INSERT INTO stops VALUES (?, ?, ?) {conflict}", run_id, now, now)

    def is_stop_acknowledged(self, run_id: str) -> bool:
        """Whether the worker has seen the request and is about to stop."""
        return bool(self._select("SELECT 1 FROM stops WHERE run_id=? AND acknowledged_at IS NOT NULL", run_id))

    def clear_stop(self, run_id: str) -> None:
        """Forget a stop request, because the worker ended or begins anew."""
        self._execute("DELETE FROM stops WHERE run_id=?", run_id)

    def save_listing(self, run_id: str, fingerprint: str, summary: dict[str, Any]) -> None:
        """Keep a run's line of the listing, made from files that `fingerprint` stands for."""
        self._execute("INSERT OR REPLACE INTO listing VALUES (?, ?, ?)", run_id, fingerprint, json.dumps(summary))

    def save_listings(self, rows: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Keep the lines of several runs at once; each row is what `save_listing` takes."""
        values = [(run_id, fingerprint, json.dumps(summary)) for run_id, fingerprint, summary in rows]
        insert = "INSERT OR REPLACE INTO listing VALUES (?, ?, ?)"
        self._database.change(lambda connection: connection.executemany(insert, values).rowcount)

    def listing(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The kept lines: run id to fingerprint and summary."""
        rows = self._select("SELECT run_id, fingerprint, summary FROM listing")
        return {run_id: (fingerprint, json.loads(summary)) for run_id, fingerprint, summary in rows}

    def forget_run(self, run_id: str) -> None:
        """Remove every row about a run, because it is deleted."""

        def forget(connection: sqlite3.Connection) -> None:
            for table in ("locks", "queue", "heartbeats", "stops", "listing"):
                connection.execute(f"DELETE FROM {table} WHERE run_id=?", (run_id,))

        self._database.change(forget)

    def _select(self, query: str, *values: Any) -> list[Any]:
        return self._database.read(lambda connection: connection.execute(query, values).fetchall())

    def _execute(self, statement: str, *values: Any) -> None:
        self._database.change(lambda connection: connection.execute(statement, values).rowcount)

    def _refill(self, connection: sqlite3.Connection) -> None:
        for run in find_all_runs(self.home):
            with contextlib.suppress(RunError):  # a damaged folder is reported by whoever opens it
                _refill_run(connection, run)


def _refill_run(connection: sqlite3.Connection, run: Run) -> None:
    state = run.state()
    if state.device is None:
        return
    if state.status == QUEUED and state.pid is None:  # with a pid, that process waits for the device by itself
        connection.execute("INSERT OR IGNORE INTO queue (run_id, device) VALUES (?, ?)", (run.run_id, state.device))
    if state.status == RUNNING and is_alive(state.pid, state.pid_started):
        row = (state.device, run.run_id, state.pid, state.pid_started, True)
        connection.execute("INSERT OR IGNORE INTO locks VALUES (?, ?, ?, ?, ?)", row)


def _read_locks(connection: sqlite3.Connection, device: str) -> list[DeviceLock]:
    """The locks that stand in the way of one on this device, its own first."""
    locks = [_make_lock(row) for row in connection.execute(f"{_SELECT_LOCKS} ORDER BY device").fetchall()]
    in_the_way = [lock for lock in locks if are_in_conflict(lock.device, device)]
    return sorted(in_the_way, key=lambda lock: lock.device != device)


def _make_lock(row: tuple[str, str, int, float, int]) -> DeviceLock:
    return DeviceLock(*row[:4], is_worker=bool(row[4]))
