"""Commands that take runs out of the lab and bring them in: export, exports, import."""

from pathlib import Path
from typing import Annotated

import typer

from medpeft_core.cli.options import Json, RunName, app


@app.command()
def export(
    run: RunName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write, new or empty.")],
    format: Annotated[
        str | None,
        typer.Option("--as", metavar="FORMAT", help="Format; `exports RUN` lists those that fit. The best by default."),
    ] = None,
    no_base: Annotated[
        bool, typer.Option("--no-base", help="Leave base weights out that the receiver has already.")
    ] = False,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="With --as archive: take along what a resume needs.")
    ] = False,
    no_predictions: Annotated[
        bool, typer.Option("--no-predictions", help="With --as archive: leave out the predictions of each image.")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Send it to this repository of the Hugging Face Hub, a private one."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: let everybody see it.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run in a format that others open."""
    from medpeft_core.commands.exports import export as run_command
    from medpeft_core.exports import ExportOptions

    options = ExportOptions(
        include_base=not no_base, include_checkpoint=checkpoint, include_predictions=not no_predictions
    )
    run_command(run, folder, format=format, options=options, push=push, public=public, as_json=as_json)


@app.command()
def exports(
    run: Annotated[str | None, typer.Argument(help="Name of a run, to see which formats fit it.")] = None,
    as_json: Json = False,
) -> None:
    """List the formats that a run can be exported in."""
    from medpeft_core.commands.exports import list_formats

    list_formats(run, as_json=as_json)


@app.command("import")
def import_archive(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="The zip file that `export --as archive` wrote.")],
    as_json: Json = False,
) -> None:
    """Bring a run from another lab into this home."""
    from medpeft_core.commands.exports import import_archive as run_command

    run_command(archive, as_json=as_json)
