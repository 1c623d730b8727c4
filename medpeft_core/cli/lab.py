"""Commands on the lab itself and its data: doctor, the lists of what there is, prepare, supervise."""

from typing import Annotated, Any

import typer

from medpeft_core.cli.options import Json, Root, Settings, app
from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.resolve import apply_settings


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, devices, home and free space, with problems and their remedies."""
    from medpeft_core.commands.doctor import doctor as run_command

    run_command(as_json=as_json)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="A data set, to show its card; all are listed without.")] = None,
    root: Annotated[str | None, typer.Option(help="Its folder, to tell what is missing from it.")] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> int:
    """List the data sets, or show one: its terms, how to get it; exit code 1 where a part is missing in its folder."""
    from medpeft_core.commands.listing_datasets import list_datasets, show_dataset

    if name is None:
        if root or settings:
            raise typer.BadParameter("--root and --set belong to one data set: give its name.")
        list_datasets(as_json=as_json)
        return 0
    return show_dataset(_build_data(name, root, settings), as_json=as_json)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set that the lab can download.")],
    root: Annotated[str | None, typer.Option(help="Folder for it, where it is not the lab's own.")] = None,
    settings: Settings = None,
    yes: Annotated[bool, typer.Option("--yes", help="Download without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Download a data set; its size, source and licence are told first, and asked about."""
    from medpeft_core.commands.fetch import fetch as run_command

    run_command(_build_data(name, root, settings), may_download=yes, as_json=as_json)


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

    run_command(_build_config(dataset, root, settings), as_json=as_json)


def _build_config(dataset: str, root: str | None, settings: list[str] | None) -> RunConfig:
    values: dict[str, Any] = {"data": {"dataset": dataset, "root": root}}
    return RunConfig.from_dict(apply_settings(values, settings or []))


def _build_data(dataset: str, root: str | None, settings: list[str] | None) -> DataConfig:
    return _build_config(dataset, root, settings).data
