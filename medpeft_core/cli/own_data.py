"""Commands on data sets of one's own: look into a folder, add, share, open and remove them."""

from pathlib import Path
from typing import Annotated

import typer

from medpeft_core.cli.options import Json, Settings, app

own_data = typer.Typer(help="Data sets of your own: look into a folder, add it under a name, share it as one file.")
app.add_typer(own_data, name="data")

Folder = Annotated[str, typer.Argument(help="Folder of the images.")]
SetName = Annotated[str, typer.Argument(help="Name of the data set, such as my_films.")]
Form = Annotated[str | None, typer.Option(help="folder, table or dicom; found out without.")]
Table = Annotated[
    str | None, typer.Option(help="The table of labels: below the folder, or anywhere; found out without.")
]


@own_data.callback(invoke_without_command=True)
def own_data_alone(context: typer.Context, as_json: Json = False) -> None:
    """Data sets of your own: look into a folder, add it, share it; without a command, list them."""
    if context.invoked_subcommand is None:
        from medpeft_core.commands.own_data import list_data

        list_data(as_json=as_json)


@own_data.command("list")
def list_own(as_json: Json = False) -> None:
    """List the data sets that were added or opened."""
    from medpeft_core.commands.own_data import list_data

    list_data(as_json=as_json)


@own_data.command()
def look(
    folder: Folder, form: Form = None, table: Table = None, settings: Settings = None, as_json: Json = False
) -> int:
    """Tell how a folder would be read, and what should be mended first; exit code 1 where it cannot be read."""
    from medpeft_core.commands.own_data import look as run_command

    return run_command(folder, form=form, table=table, settings=settings or [], as_json=as_json)


@own_data.command()
def add(
    name: SetName,
    root: Annotated[str, typer.Option(help="Folder of the images.")],
    form: Form = None,
    table: Table = None,
    title: Annotated[str, typer.Option(help="Title for people.")] = "",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Store a folder as a data set, which is then used by its name; the images stay where they are."""
    from medpeft_core.commands.own_data import add as run_command

    run_command(name, root, form=form, table=table, title=title, settings=settings or [], as_json=as_json)


@own_data.command()
def share(
    name: SetName,
    file: Annotated[Path, typer.Argument(help="The file to write, or a folder for it.")],
    with_images: Annotated[bool, typer.Option(help="Also put the images into it.")] = False,
    as_json: Json = False,
) -> None:
    """Write a data set into one file for another lab."""
    from medpeft_core.commands.own_data import share as run_command

    run_command(name, file, with_images=with_images, as_json=as_json)


@own_data.command("open")
def open_shared(
    file: Annotated[Path, typer.Argument(help="A file that `data share` wrote.")],
    root: Annotated[str | None, typer.Option(help="Folder of its images, where the file does not bring them.")] = None,
    name: Annotated[str | None, typer.Option(help="Name to store it under.")] = None,
    as_json: Json = False,
) -> None:
    """Store a data set that somebody shared."""
    from medpeft_core.commands.own_data import open_shared as run_command

    run_command(file, root=root, name=name, as_json=as_json)


@own_data.command()
def remove(name: SetName, as_json: Json = False) -> None:
    """Remove a data set; images stay, except those that were uploaded or came with a shared file."""
    from medpeft_core.commands.own_data import remove as run_command

    run_command(name, as_json=as_json)
