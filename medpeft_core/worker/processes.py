"""Processes by pid and creation time: who they are, whether they live, and how a whole tree of them is ended."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

import medpeft_core
from medpeft_core.paths import HOME_VARIABLE
from medpeft_core.runs.liveness import find_process, is_alive, process_identity

__all__ = ["build_environment", "is_alive", "kill_tree", "lower_priority", "process_identity", "start_detached"]

NICENESS = 5  # below what a person is working with, above nothing
_KILL_WAIT_S = 5.0


def build_environment(home: Path) -> dict[str, str]:
    """The environment of a child that runs a module of the lab, wherever the user stands and for this home."""
    package_parent = str(Path(medpeft_core.__file__).resolve().parent.parent)
    search_path = os.pathsep.join(part for part in (package_parent, os.environ.get("PYTHONPATH")) if part)
    return {
        **os.environ,
        "PYTHONPATH": search_path,
        "PYTHONSAFEPATH": "1",  # or a random.py in the folder where the user stands would be imported
        "PYTHONUNBUFFERED": "1",
        HOME_VARIABLE: str(home),
    }


def start_detached(module: str, folder: Path, *, home: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Start `python -m module folder` as a process group of its own, which outlives this process.

    Args:
        module: of the lab.
        folder: its one argument.
        home: the lab's folder.
        log_path: its output is appended to this file.
    """
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=build_environment(home),
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def kill_tree(pid: int, started: float, *, term_wait_s: float) -> None:
    """Ask a process to end, then kill it and every process that it started.

    Args:
        pid: the root of the tree; nothing happens when that process is dead or the pid is another's now.
        started: when the root was created.
        term_wait_s: how long the root may take to end by itself after SIGTERM (on Windows it ends at once).
    """
    root = find_process(pid, started)
    if root is None:
        return
    family = _descendants(root)
    _signal(root, psutil.Process.terminate)
    psutil.wait_procs([root], timeout=term_wait_s)
    # Children are read twice: those of a dead root can no longer be found, and a living one may have started more.
    doomed = {root, *family, *_descendants(root)}
    for process in doomed:
        _signal(process, psutil.Process.kill)
    psutil.wait_procs(doomed, timeout=_KILL_WAIT_S)


def lower_priority() -> None:
    """Let people's programs go first; where the system forbids it, nothing changes."""
    me = psutil.Process()
    try:
        if sys.platform == "win32":
            me.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            me.nice(min(me.nice() + NICENESS, 19))
    except (psutil.Error, OSError):
        return


def _descendants(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    try:
        if process.is_running():
            send(process)
    except psutil.NoSuchProcess:
        return
