"""Data sets that this lab has met: by the key that names them in addresses, and the folders in which they lie."""

import contextlib
from typing import Any

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import EXTRA_SETTINGS, list_views, view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.data_jobs import list_job_sections
from pages.widgets.lab import get_lab

DATA_PARAMETER = "data"
SECTION = ("dataset", "root", "options", "split_seed", *EXTRA_SETTINGS)
MAX_LOOKED_AT = 200  # newest runs, when neither a kept set nor a job has the key


def build_data_link(data: DataConfig) -> dict[str, str]:
    """The query parameters of a link to this very data set: on the Data page, or on Train, which then takes it over.

    Args:
        data: of a run, a job or a kept set; resolved or not.
    """
    return {DATA_PARAMETER: view_key(data)}


def find_section(key: str) -> dict[str, Any] | None:
    """The data section that a key stands for: of a set that is prepared, of a job, or of a run; None for no such set.

    It holds `dataset`, `root`, `options` and `split_seed`, those of `EXTRA_SETTINGS` that are not as usual, and
    perhaps more.
    """
    kept = next((item["data"] for item in list_views() if item["key"] == key), None)
    if kept is not None:
        return kept if kept["dataset"] in DATASETS else None
    found = next((data for _, data in list_job_sections() if view_key(DataConfig(**data)) == key), None)
    return found or _find_in_runs(key)


def find_roots(dataset: str) -> list[str]:
    """Folders in which a data set was found or looked for, the ones where it is prepared first, then the newest."""
    sections = [item["data"] for item in list_views()] + [data for _, data in list_job_sections()]
    return list(dict.fromkeys(item["root"] for item in sections if item["dataset"] == dataset and item["root"]))


def clean_folder(text: str | None) -> str | None:
    """A folder as somebody pasted it, without the quotes that file managers and shells put around it; None for none."""
    text = (text or "").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text or None


def _find_in_runs(key: str) -> dict[str, Any] | None:
    for run in get_lab().store.list_runs()[:MAX_LOOKED_AT]:
        with contextlib.suppress(MedPeftError, OSError):
            data = run.config().data
            if view_key(data) == key:
                return {name: getattr(data, name) for name in SECTION}
    return None
