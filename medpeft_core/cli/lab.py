"""Commands on the lab itself and its data: doctor, the lists of what there is, prepare, supervise."""

from typing import Annotated, Any

import typer

from medpeft_core.cli.options import Json, Root, Settings, app
from medpeft_core.config import RunConfig
from medpeft_core.resolve import apply_settings


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, devices, home and free space, with problems and their remedies."""
    from medpeft_core.commands.doctor import doctor as run_command

    run_command(as_json=as_json)


@app.command()
def datasets(as_json: Json = False) -> None:
    """List the data sets."""
    from medpeft_core.commands.listing import list_datasets

    list_datasets(as_json=as_json)


@app.command()
def backbones(as_json: Json = False) -> None:
    """List the backbones."""
    from medpeft_core.commands.listing import list_backbones

    list_backbones(as_json=as_json)


@app.command()
def methods(as_json: Json = False) -> None:
    """List the fine-tuning methods."""
    from medpeft_core.commands.listing import list_methods

    list_methods(as_json=as_json)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="Name of the data set.")],
    root: Root = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Read, check and decode a data set, and print what is in it."""
    from medpeft_core.commands.prepare import prepare as run_command

    values: dict[str, Any] = {"data": {"dataset": dataset, "root": root}}
    run_command(RunConfig.from_dict(apply_settings(values, settings or [])), as_json=as_json)
