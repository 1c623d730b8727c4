"""Commands on weights: what is in the home, what is known, a look into a file, and the shelf."""

from typing import Annotated

import typer

from medpeft_core.cli.options import Json, app

weights = typer.Typer(help="Weights of others: look into files, keep them on the shelf, see what is there.")
app.add_typer(weights, name="weights")

Source = Annotated[str, typer.Argument(help="Path of a file, or hf:OWNER/NAME[/FILE][@REVISION] for one of the hub.")]
ShelfName = Annotated[str, typer.Argument(help="Name of the weights on the shelf.")]
Backbone = Annotated[str | None, typer.Option(help="timm name of the model whose weights they are.")]
Layout = Annotated[str, typer.Option(help="How the file names its tensors. auto: found out from the names.")]


@weights.callback(invoke_without_command=True)
def weights_alone(context: typer.Context, as_json: Json = False) -> None:
    """Weights of others: look into files, keep them on the shelf; without a command, list what is there."""
    if context.invoked_subcommand is None:
        from medpeft_core.commands.weights import list_all

        list_all(as_json=as_json)


@weights.command("list")
def list_weights(as_json: Json = False) -> None:
    """List every file of weights in the home, with its size and who uses it."""
    from medpeft_core.commands.weights import list_all

    list_all(as_json=as_json)


@weights.command()
def known(
    name: Annotated[str | None, typer.Argument(help="One of them, to show it in full; all are listed without.")] = None,
    as_json: Json = False,
) -> None:
    """List the foundation models that the lab knows by name, and how their files are got."""
    from medpeft_core.commands.weights_known import list_known, show_known

    if name is None:
        list_known(as_json=as_json)
    else:
        show_known(name, as_json=as_json)


@weights.command()
def check(
    source: Annotated[str, typer.Argument(help="Path of a file, or shelf:NAME.")],
    backbone: Backbone = None,
    pool: Annotated[str | None, typer.Option(help="token or avg; the backbone's own without.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels; the backbone's own without.")] = None,
    layout: Layout = "auto",
    positions: Annotated[
        str, typer.Option(help="How positions are brought to another size: antialias or plain.")
    ] = "antialias",
    as_json: Json = False,
) -> int:
    """Show what would become of each tensor of a file in a backbone; the exit code is 2 when it cannot be loaded."""
    from medpeft_core.commands.weights_check import check_file

    return check_file(
        source,
        backbone=backbone,
        pool=pool,
        image_size=image_size,
        layout=layout,
        positions=positions,
        as_json=as_json,
    )


@weights.command()
def add(
    source: Annotated[str, typer.Argument(help="Path of a file, or hf:OWNER/NAME[/FILE][@REVISION].")] = "",
    known_as: Annotated[str, typer.Option("--known", help="Known weights, which fill the rest.")] = "",
    backbone: Backbone = None,
    name: Annotated[str, typer.Option(help="Name on the shelf; made of the file's name without.")] = "",
    layout: Layout = "auto",
    normalisation: Annotated[
        str, typer.Option(help="Constants of the pixels that they were trained with; the backbone's own without.")
    ] = "",
    licence: Annotated[str, typer.Option(help="As its source states it.")] = "",
    reference: Annotated[str, typer.Option(help="Paper or address.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Download without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Put a file of weights on the shelf: from this computer, or from the Hugging Face Hub after a question."""
    from medpeft_core.commands.weights import add_to_shelf

    choices = {"known": known_as, "backbone": backbone or "", "name": name, "layout": layout}
    notes = {"normalisation": normalisation, "licence": licence, "reference": reference}
    add_to_shelf(source, {**choices, **notes}, may_download=yes, as_json=as_json)


@weights.command()
def show(name: ShelfName, as_json: Json = False) -> None:
    """Show all about weights on the shelf, and check that their file is intact."""
    from medpeft_core.commands.weights import show_entry

    show_entry(name, as_json=as_json)


@weights.command()
def remove(name: ShelfName, as_json: Json = False) -> None:
    """Take weights off the shelf; runs that were trained on them keep their own copy."""
    from medpeft_core.commands.weights import remove_entry

    remove_entry(name, as_json=as_json)
