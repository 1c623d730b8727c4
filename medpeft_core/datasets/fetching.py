"""Downloading a data set by an explicit wish, as a job or a command; which files, and from where, its reader says."""

from pathlib import Path
from typing import Any

from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, FetchOffer
from medpeft_core.errors import DataError
from medpeft_core.sections import build_part


def find_offer(dataset: str, root: str | None, options: dict[str, Any]) -> FetchOffer | None:
    """What a download of a data set would bring; None where the lab cannot download it. Asks nobody.

    Raises:
        MedPeftError: an unknown data set or option.
    """
    spec = DATASETS[dataset]
    if spec.offer is None:
        return None
    return spec.offer(_find_root(root), build_part(spec.options, options, section="data"))


def fetch_data(*, dataset: str, root: str | None, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Download a data set.

    Args:
        dataset: its name.
        root: folder for it; None where its reader knows one.
        options: of its reader.
        progress: told of files or bytes; may raise to stop, and what is there is used the next time.

    Returns:
        {"dataset", "root", "options"}, as they were given.

    Raises:
        DataError: the lab cannot download this set, or the download failed.
    """
    spec = DATASETS[dataset]
    if spec.fetch is None:
        raise DataError(f"The lab cannot download {spec.title}. {spec.how_to_get}")
    spec.fetch(_find_root(root), build_part(spec.options, options, section="data"), progress=progress)
    return {"dataset": spec.name, "root": root, "options": options}


def _find_root(root: str | None) -> Path | None:
    return Path(root).expanduser().resolve() if root else None
