"""Commands in real processes that the tests of this folder disturb."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from medpeft_core.runs.run import Run, find_all_runs

TIMES = {"time", "images_per_s", "train_images_per_s", "data_wait_frac", "peak_memory_bytes"}
POLL_S = 0.05
PATIENCE_S = 240.0


def start(home: Path, arguments: list[str], *, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a terminal starts it."""

    def limit() -> None:
        import resource

        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "medpeft_core", *arguments],
        env={**os.environ, "MEDPEFT_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit if limit_bytes is not None else None,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out) if out.strip() else {}, err


def wait_for_epoch(home: Path, epoch: int, *, but: frozenset[str] = frozenset()) -> Run:
    """The only run of a home, or the only one without those named, once it has finished an epoch."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for run in find_all_runs(home):
            if run.run_id not in but and any(
                event["type"] == "epoch" and event["epoch"] >= epoch for event in run.events()
            ):
                return run
        time.sleep(POLL_S)
    raise AssertionError(f"no run finished epoch {epoch}")
