"""Read, check and decode a data set, and tell what is in it."""

from medpeft_core.commands.console import ProgressBar, print_json
from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import inspect_dataset, prepare_dataset
from medpeft_core.resolve import resolve_data


def prepare(config: RunConfig, *, as_json: bool) -> None:
    """Print the data report; then fail when training on these data would be refused.

    Raises:
        DataError: the data cannot be read, or cannot be trained on as they are; the report was printed in the second
            case.
    """
    data = resolve_data(config.data)
    with ProgressBar() as progress:
        report = inspect_dataset(data, progress=progress)
        if as_json:
            print_json(report.to_dict())
        else:
            print(report.to_text())
        prepare_dataset(data, progress=progress)
