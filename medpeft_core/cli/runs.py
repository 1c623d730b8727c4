"""Commands on runs that are there: list, show, stop, resume, delete, restore, compare; and taking the queued ones."""

from typing import Annotated

import typer

from medpeft_core.cli.options import Json, RunName, app


@app.command()
def runs(
    deleted: Annotated[bool, typer.Option("--deleted", help="List the trash: what `restore` can bring back.")] = False,
    pretraining: Annotated[bool, typer.Option("--pretraining", help="List the pre-trainings.")] = False,
    as_json: Json = False,
) -> None:
    """List the fine-tuned runs, newest first; or the pre-trainings, or what was deleted."""
    if deleted:
        from medpeft_core.commands.trash import list_deleted

        list_deleted(as_json=as_json)
        return
    if pretraining:
        from medpeft_core.commands.pretrainings import list_pretrainings

        list_pretrainings(as_json=as_json)
        return
    from medpeft_core.commands.runs import list_runs

    list_runs(as_json=as_json)


@app.command()
def show(run: RunName, as_json: Json = False) -> None:
    """Show all about one run."""
    from medpeft_core.commands.runs import show_run

    show_run(run, as_json=as_json)


@app.command()
def stop(run: RunName, as_json: Json = False) -> None:
    """Stop a run, with a checkpoint."""
    from medpeft_core.commands.runs import stop_run

    stop_run(run, as_json=as_json)


@app.command()
def resume(run: RunName, as_json: Json = False) -> int:
    """Go on with a run that was stopped, was interrupted or failed."""
    from medpeft_core.commands.resume import resume as run_command

    return run_command(run, as_json=as_json)


@app.command()
def delete(
    run: RunName,
    for_good: Annotated[
        bool, typer.Option("--for-good", help="Free its space at once; it cannot be brought back.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Move a run to the trash, which keeps it for a week."""
    from medpeft_core.commands.trash import delete_run

    delete_run(run, for_good=for_good, as_json=as_json)


@app.command()
def restore(
    run: Annotated[str, typer.Argument(help="Name of a deleted run, or a part that fits one.")],
    as_json: Json = False,
) -> None:
    """Bring a deleted run back from the trash."""
    from medpeft_core.commands.trash import restore_run

    restore_run(run, as_json=as_json)


@app.command()
def supervise(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when no run is queued or at work any more.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Take queued runs without the app. Ctrl-C ends it; runs at work go on."""
    from medpeft_core.commands.supervise import supervise as run_command

    return run_command(until_empty=until_empty, as_json=as_json)


@app.command()
def compare(
    run: Annotated[list[str], typer.Argument(help="Names of the runs.")],
    as_json: Json = False,
) -> None:
    """Put the results of runs side by side."""
    from medpeft_core.commands.runs import compare_runs

    compare_runs(run, as_json=as_json)
