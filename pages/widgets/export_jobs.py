"""Jobs that take runs out of the lab or bring some in, and what they left: found by what they were asked for."""

import contextlib
from typing import Any

from medpeft_core.errors import MedPeftError
from medpeft_core.exports.files import read_exports
from pages.widgets.lab import get_lab


def find_export_jobs(run_id: str) -> list[Any]:
    """Jobs that export a run, at work or ended, the newest first."""
    return [job for job in find_jobs("export") if (job.request().options or {}).get("run_id") == run_id]


def find_jobs(kind: str) -> list[Any]:
    """Jobs of a kind, at work or ended, the newest first; damaged ones are left out."""
    found = []
    for job in get_lab().jobs.list_jobs():
        with contextlib.suppress(MedPeftError):
            if job.kind == kind:
                found.append(job)
    return found


def read_made(run_id: str) -> dict[str, dict[str, Any]]:
    """By format, what is told of the exports of a run that lie in the lab."""
    return read_exports(get_lab().home, run_id)
