"""Jobs as their folders tell of them, written in milliseconds; no process is started."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from medpeft_core.paths import write_json
from medpeft_core.runs.liveness import process_identity
from medpeft_core.worker.job_state import Job, JobRequest, JobState


def make_job(home: Path, kind: str, *, title: str, options: dict[str, Any], **state: Any) -> Job:
    """Write one job; one that is running has this process.

    Args:
        home: the lab's folder.
        kind: as in `JobRequest`.
        title: for people.
        options: what it was told.
        state: fields of its `JobState`; `status` is "running" by default.
    """
    now = time.time()
    folder = home / "jobs" / f"20261126-080000-{len(list(home.glob('jobs/*'))):06d}-{kind}-0a0a"
    folder.mkdir(parents=True)
    pid, started = process_identity(os.getpid())
    whole = JobState(**{"started_at": now, "updated_at": now, "pid": pid, "pid_started": started, **state})
    write_json(folder / "request.json", dataclasses.asdict(JobRequest(kind=kind, title=title, options=options)))
    write_json(folder / "state.json", whole.to_dict())
    return Job(folder)
