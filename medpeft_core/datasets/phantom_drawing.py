"""Drawing the patients of a synthetic set in several processes, with progress and a clean stop."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from medpeft_core.datasets.phantom_job import SetJob
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import DataError

WHAT = "drawing synthetic radiographs"
LEAST_PATIENTS = 24  # for a process of its own; below this starting one takes longer than drawing
MOST_PROCESSES = 16
CHILD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**28),  # glibc then keeps the pages of large arrays, which saves a sixth of the time
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}
POLL_S = 0.5
CHILD = "from medpeft_core.datasets.phantom_worker import main; main()"
PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def draw_all(job: SetJob, folder: Path, progress: Progress, *, processes: int) -> list[dict[str, Any]]:
    """Draw every patient of a job into `folder`.

    Args:
        job: also saved in the folder.
        folder: holds the job and empty folders `images` and `masks`.
        progress: told of every patient; what it raises ends all processes.
        processes: at most so many at the same time.

    Returns:
        The rows of `draw_patient`, in no particular order.

    Raises:
        DataError: a drawing process failed.
    """
    processes = min(processes, MOST_PROCESSES, job.num_patients // LEAST_PATIENTS)
    if processes > 1 and sys.executable:
        parts = _drawn_by_others(folder, processes)
    else:
        # with SciPy, which takes half a second: the app's server, which never draws, shall not wait for it
        from medpeft_core.datasets.phantom_worker import draw_patient

        parts = (draw_patient(job, index, folder) for index in range(job.num_patients))
    rows: list[dict[str, Any]] = []
    done = 0
    try:
        progress(WHAT, done, job.num_patients)
        for part in parts:
            rows += part
            done += bool(part)
            progress(WHAT, done, job.num_patients)
    finally:
        parts.close()  # ends the processes, whatever progress raised
    return rows


def _drawn_by_others(folder: Path, processes: int) -> Generator[list[dict[str, Any]], None, None]:
    """The rows of each patient as the processes report them; an empty list where none came for a while."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    workers = [_start(folder, share, processes) for share in range(processes)]
    try:
        for worker in workers:
            threading.Thread(target=_forward, args=(worker, lines), daemon=True).start()
        running = processes
        while running:
            line = _next_line(lines)
            if line is None:
                running -= 1
            else:
                yield json.loads(line)
        for share, worker in enumerate(workers):
            if worker.wait():
                raise DataError(
                    f"Drawing synthetic images failed: {_last_line(_log(folder, share))}. "
                    "Try again, or free memory and disk space."
                )
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            assert worker.stdin is not None
            worker.stdin.close()
        for share in range(processes):
            _log(folder, share).unlink(missing_ok=True)


def _start(folder: Path, share: int, shares: int) -> subprocess.Popen[str]:
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **CHILD_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    # -P: an unrelated file in the current folder must not take the place of a module
    command = [sys.executable, "-P", "-c", CHILD, str(folder), str(share), str(shares)]
    with _log(folder, share).open("w") as log:
        # stdin is held open and never written to: it closes when this process dies, and the others then end themselves
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.PIPE, text=True, encoding="utf-8",
            env=environment, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip


def _forward(worker: subprocess.Popen[str], lines: "queue.SimpleQueue[str | None]") -> None:
    assert worker.stdout is not None
    with worker.stdout as reports:
        for line in reports:
            lines.put(line)
    lines.put(None)


def _next_line(lines: "queue.SimpleQueue[str | None]") -> str | None:
    try:
        return lines.get(timeout=POLL_S)  # without a limit Ctrl-C would go unheard on Windows
    except queue.Empty:
        return "[]"


def _log(folder: Path, share: int) -> Path:
    return folder / f"process-{share}.log"


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "the process ended without a message"
