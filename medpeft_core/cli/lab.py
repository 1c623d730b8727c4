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
def methods(
    name: Annotated[str | None, typer.Argument(help="A method, to show it in full; all are listed without.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Tell what fits this backbone: one of the list, or any timm name.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="token or avg, for a backbone whose own pooling is another.")] = None,
    as_json: Json = False,
) -> None:
    """List the fine-tuning methods, or show one; with --backbone tell what fits it, and why the rest does not."""
    from medpeft_core.commands.listing_methods import find_backbone, list_methods, show_method

    fitted = None if backbone is None else find_backbone(backbone, pool=pool)
    if name is None:
        list_methods(fitted=fitted, as_json=as_json)
    else:
        show_method(name, fitted=fitted, as_json=as_json)


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="A preset, to show it in full; all are listed without.")] = None,
    as_json: Json = False,
) -> None:
    """List the presets of `train`: three of the lab, and the cells of the papers' tables; or show one."""
    from medpeft_core.commands.listing_presets import list_presets, show_preset

    if name is None:
        list_presets(as_json=as_json)
    else:
        show_preset(name, as_json=as_json)


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
