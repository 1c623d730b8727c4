"""Opening `lab.sqlite`, and making it anew when it is missing or damaged.

Nothing in the file is worth more than the run folders, so damage is met by moving the file aside and filling a new one.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from medpeft_core.errors import RunError
from medpeft_core.paths import ensure_dir

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]

SCHEMA_VERSION = 1
_REMEDY = "Free some space and check that you may write there; the file can be deleted, it is made anew."
BUSY_TIMEOUT_S = 5.0
_ATTEMPTS = 6
_PAUSE_S = 0.05
_LOCK_TIMEOUT_S = 30.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
# The disk is full, or another process makes or replaces the file at this moment.
_HINDERED = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)

_TABLES = (
    "CREATE TABLE locks (device TEXT PRIMARY KEY, run_id TEXT NOT NULL, pid INTEGER NOT NULL, pid_started REAL"
    " NOT NULL, is_worker INTEGER NOT NULL)",
    "CREATE TABLE queue (position INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE,"
    " device TEXT NOT NULL)",
    "CREATE TABLE heartbeats (run_id TEXT PRIMARY KEY, time REAL NOT NULL)",
    "CREATE TABLE stops (run_id TEXT PRIMARY KEY, requested_at REAL NOT NULL, acknowledged_at REAL)",
    "CREATE TABLE listing (run_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, summary TEXT NOT NULL)",
)


class UnknownSchemaError(sqlite3.DatabaseError):
    """The file was made by another version of the lab."""


class LabDatabase:
    """One SQLite file that several processes change at once; one connection a call.

    Args:
        path: the file; its folder is made when missing.
        refill: gets a connection to the new, empty tables and fills in what can be known.
    """

    def __init__(self, path: Path, refill: Work[None]) -> None:
        self.path = path
        self._refill = refill

    def read(self, work: Work[Result]) -> Result:
        """What `work` finds, seen as of one moment.

        Raises:
            RunError: the file cannot be used although everything was tried, for example on a full disk.
        """
        return self._insist(work, "BEGIN")

    def change(self, work: Work[Result]) -> Result:
        """Do `work` with nobody else changing anything meanwhile; all of it happens, or nothing when it raises.

        Raises:
            RunError: as for `read`.
        """
        return self._insist(work, "BEGIN IMMEDIATE")

    def _insist(self, work: Work[Result], begin: str) -> Result:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._attempt(work, begin)
            except sqlite3.DatabaseError as error:
                if not _is_mendable(error):
                    raise
                if attempt == _ATTEMPTS or _primary_code(error) == sqlite3.SQLITE_FULL:
                    raise RunError(f"The lab's index {self.path} cannot be used: {error}. {_REMEDY}") from error
                if _is_damage(error):
                    # A file that looks sound was just made anew by another process, unless it fails again and again.
                    self._set_aside(even_if_sound=attempt > 2)
                time.sleep(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, work: Work[Result], begin: str) -> Result:
        connection = self._connect()
        try:
            self._prepare(connection)
            connection.execute(begin)
            result = work(connection)
            connection.execute("COMMIT")
            return result
        finally:
            connection.close()  # rolls back what was not committed

    def _connect(self) -> sqlite3.Connection:
        ensure_dir(self.path.parent)
        return sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # No syncs (20 ms each): a power cut ends every process that this file tells of, and damage is mended.
        connection.execute("PRAGMA synchronous=OFF")
        if _read_version(connection) == SCHEMA_VERSION:
            return
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        version = _read_version(connection)  # again: another process may have been faster
        if version == 0:
            for statement in _TABLES:
                connection.execute(statement)
            self._refill(connection)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
        if version not in (0, SCHEMA_VERSION):
            raise UnknownSchemaError(
                f"{self.path} has schema version {version}, this version of the lab uses {SCHEMA_VERSION}"
            )

    def _set_aside(self, *, even_if_sound: bool) -> None:
        with FileLock(f"{self.path}.lock", timeout=_LOCK_TIMEOUT_S):
            if not even_if_sound and self._is_sound():
                return
            for suffix in ("-wal", "-shm", ""):  # the main file last: without it the others are ignored
                _move(Path(f"{self.path}{suffix}"), Path(f"{self.path}.damaged{suffix}"))

    def _is_sound(self) -> bool:
        if not self.path.exists():
            return True
        connection = self._connect()
        try:
            is_known = _read_version(connection) in (0, SCHEMA_VERSION)
            return is_known and connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        except sqlite3.DatabaseError:
            return False
        finally:
            connection.close()


def _read_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _primary_code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    has_lost_tables = "no such table" in str(error) or "no such column" in str(error)
    return isinstance(error, UnknownSchemaError) or has_lost_tables or _primary_code(error) in _DAMAGED


def _is_mendable(error: sqlite3.DatabaseError) -> bool:
    return _is_damage(error) or _primary_code(error) in _HINDERED


def _move(source: Path, target: Path) -> None:
    for _ in range(40):
        try:
            os.replace(source, target)
            return
        except FileNotFoundError:
            return
        except PermissionError:  # Windows: another process has it open for a moment
            time.sleep(_PAUSE_S)
    os.replace(source, target)
