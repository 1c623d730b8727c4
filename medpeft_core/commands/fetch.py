"""Download a data set, after its size, source and terms have been told and agreed to."""

import sys

import typer

from medpeft_core.commands.console import ProgressBar, print_json, tell
from medpeft_core.commands.listing_datasets import find_parts, write_offer
from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.fetching import fetch_data, find_offer
from medpeft_core.datasets.prepare_command import build_prepare_command
from medpeft_core.errors import DataError
from medpeft_core.resolve import resolve_data, to_plain


def fetch(data: DataConfig, *, may_download: bool, as_json: bool) -> None:
    """Download a data set, unless it is there.

    Args:
        data: its name, folder and options.
        may_download: do not ask.
        as_json: print what was offered, and what is there now.

    Raises:
        DataError: the lab cannot download it, the download failed, or nobody is there to be asked.
        typer.Abort: the answer was no.
    """
    data = resolve_data(data)
    spec = DATASETS[data.dataset]
    offer = find_offer(data.dataset, data.root, data.options)
    if offer is None:
        raise DataError(f"The lab cannot download {spec.title}. {spec.how_to_get}")
    if not offer.is_there:
        tell(f"{spec.title}: {write_offer(offer)}")
        if not may_download:
            if not sys.stdin.isatty():
                raise DataError(f"This would download {spec.title} from {offer.source}. Say that it may: add --yes.")
            typer.confirm("Download it?", abort=True, err=True)
        with ProgressBar() as progress:
            fetch_data(dataset=data.dataset, root=data.root, options=data.options, progress=progress)
    if as_json:
        parts = [to_plain(part) for part in find_parts(spec, data)]
        print_json({
            "dataset": spec.name, "root": data.root, "options": data.options, "was_there": offer.is_there,
            "offer": to_plain(offer), "parts": parts,
        })  # fmt: skip
        return
    print(f"{spec.title} is here{' already' if offer.is_there else ''}. Next: {build_prepare_command(data)}")
