"""Jobs that prepare data sets, by the data that they were asked for."""

import contextlib
from typing import Any

from medpeft_core.config import DataConfig
from medpeft_core.datasets.views import view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab


def list_prepare_jobs() -> list[tuple[Any, dict[str, Any]]]:
    """Jobs that were asked to prepare a set, the newest first, each with the data section it got; damaged ones left
    out."""
    found: list[tuple[Any, dict[str, Any]]] = []
    for job in get_lab().jobs.list_jobs():
        with contextlib.suppress(MedPeftError, TypeError):
            data = job.request().data
            if data is not None:
                view_key(DataConfig(**data))  # refuses what no version of today can read
                found.append((job, data))
    return found


def find_job(key: str) -> Any | None:
    """The newest job that prepared, or prepares, the set of that key; also one that does so for runs, while at work."""
    for job in get_lab().jobs.list_jobs():
        with contextlib.suppress(MedPeftError, TypeError):
            request = job.request()
            if request.data is not None and view_key(DataConfig(**request.data)) == key:
                return job
            sections = [] if job.is_finished else [config["data"] for config in request.configs or ()]
            if any(view_key(DataConfig(**section)) == key for section in sections):
                return job
    return None
