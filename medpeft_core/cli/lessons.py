"""Commands of the lessons: the finding, and the lessons with one run."""

from pathlib import Path
from typing import Annotated

import typer

from medpeft_core.cli.options import Json, app

Short = Annotated[bool, typer.Option("--short", help="1 % and 10 %, LoRA and full, 3 seeds: about ten minutes.")]
Search = Annotated[bool, typer.Option("--search", help="Repeat the search for learning rates, on other data.")]


@app.command()
def finding(
    short: Short = False,
    search: Search = False,
    protocol: Annotated[Path | None, typer.Option(help="Another protocol file than the lab's.")] = None,
    store: Annotated[Path | None, typer.Option(help="Put result and runs without weights into this folder.")] = None,
    as_json: Json = False,
) -> int:
    """Ask the papers' question: LoRA or full fine-tuning when labels are few? Ctrl-C stops, the command goes on."""
    from medpeft_core.commands.finding import finding as run_command
    from medpeft_core.commands.finding import search as run_search

    if search:
        if short or store is not None:
            raise typer.BadParameter("--search tries learning rates only; leave out --short and --store.")
        return run_search(protocol_path=protocol, as_json=as_json)
    return run_command(is_short=short, protocol_path=protocol, store_to=store, as_json=as_json)


@app.command()
def lesson(
    name: Annotated[str, typer.Argument(help="shortcut: what did a model learn when a marker goes with a finding?")],
    again: Annotated[bool, typer.Option("--again", help="Train a new run although one is finished.")] = False,
    store: Annotated[Path | None, typer.Option(help="Put result and run without weights into this folder.")] = None,
    as_json: Json = False,
) -> int:
    """Train the run of a lesson and tell what comes out. Ctrl-C stops it, and the command goes on with it."""
    from medpeft_core.commands.lesson import lesson as run_command

    return run_command(name, again=again, store_to=store, as_json=as_json)
