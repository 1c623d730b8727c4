"""Jobs that prepare data sets, by the data that they were asked for; by themselves or before they launch runs."""

import contextlib
from typing import Any

from medpeft_core.config import DataConfig
from medpeft_core.datasets.views import view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab


def list_prepare_jobs() -> list[tuple[Any, dict[str, Any]]]:
    """Jobs that were asked to prepare a set, the newest first, each with the data section it got; damaged ones left
    out."""
    return [(job, data) for job, data in list_job_sections() if job.request().data is not None]


def list_job_sections() -> list[tuple[Any, dict[str, Any]]]:
    """Every job with each data section that it was asked to prepare, also for runs; the newest job first."""
    found: list[tuple[Any, dict[str, Any]]] = []
    for job in get_lab().jobs.list_jobs():
        with contextlib.suppress(MedPeftError, TypeError, KeyError):
            request = job.request()
            sections = [config["data"] for config in request.configs or ()] if request.data is None else [request.data]
            for section in sections:
                view_key(DataConfig(**section))  # refuses what no version of today can read
            # once each: a grid of runs has one set
            found += [(job, section) for place, section in enumerate(sections) if section not in sections[:place]]
    return found


def find_job(key: str, *, cache_size: int | None = None) -> Any | None:
    """The newest job that prepared, or prepares, the set of that key; also one that does so for runs, while at work.

    Args:
        key: of the set, as `view_key` gives it.
        cache_size: None for any size of the decoded images.
    """
    for job, section in list_job_sections():
        data = DataConfig(**section)
        is_for_runs = job.request().data is None
        if view_key(data) != key or cache_size not in (None, data.cache_size):
            continue
        if not (is_for_runs and job.is_finished):
            return job
    return None
