"""The command line: names, options and exit codes; the work is done in commands/ and the core."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.paths import HOME_VARIABLE, get_home
from medpeft_core.resolve import apply_settings
from medpeft_core.runs.disk import is_disk_full

EXIT_BAD_INPUT = 2
EXIT_STOPPED = 130
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # click's base of such errors, not exported by typer

app = typer.Typer(
    help="MedPEFT Lab: parameter-efficient fine-tuning of vision backbones on medical images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Root = Annotated[str | None, typer.Option(help="Folder of the data set.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any setting: section.key=value; may be repeated.")]
RunName = Annotated[str, typer.Argument(help="Name of the run, or a part of it that no other run has.")]
ImagePath = Annotated[Path, typer.Argument(help="A PNG or JPEG file.")]


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 2 for what a user can mend, 1 and 130 as the command says. A bug ends in a traceback.
    """
    try:
        result = app(args=arguments, prog_name="python -m medpeft_core", standalone_mode=False)
    except MedPeftError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except CommandLineError as error:
        error.show()  # type: ignore[attr-defined]
        return EXIT_BAD_INPUT
    except OSError as error:
        sentence = describe_disk_error(error)
        if sentence is None:
            raise
        print(f"Error: {sentence}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return EXIT_STOPPED
    return result if isinstance(result, int) else 0


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


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help="Name of the data set.")],
    backbone: Annotated[str, typer.Option(help="A backbone of the list, or any timm name.")],
    method: Annotated[str, typer.Option(help="Fine-tuning method.")],
    root: Root = None,
    weights: Annotated[str | None, typer.Option(help="random, demo, pretrained, or a weights file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    pool: Annotated[str | None, typer.Option(help="token or avg.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the method, where it has one.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Scale of the method, where it has one.")] = None,
    targets: Annotated[str | None, typer.Option(help="Layers to adapt: q,v, qkv or all.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the training patients, above 0 to 1.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one forward pass.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations; 0 is after every epoch.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda:0 or mps.")] = None,
    settings: Settings = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put the run into the queue.")] = False,
    as_json: Json = False,
) -> int:
    """Train a run in a worker process and show its progress. Ctrl-C stops it; `resume` goes on."""
    from medpeft_core.commands.train import train as run_command

    values: dict[str, dict[str, Any]] = {
        "data": {"dataset": dataset, "root": root, "fraction": fraction},
        "backbone": {"name": backbone, "weights": weights, "image_size": image_size, "pool": pool},
        "method": {"name": method, "knobs": _given({"rank": rank, "alpha": alpha, "targets": targets})},
        "optim": {"lr": lr},
        "train": {"epochs": epochs, "batch_size": batch_size, "eval_every": eval_every, "seed": seed, "device": device},
    }
    values = {section: _given(fields) for section, fields in values.items()}
    return run_command(RunConfig.from_dict(apply_settings(values, settings or [])), queue=queue, as_json=as_json)


@app.command()
def runs(
    deleted: Annotated[bool, typer.Option("--deleted", help="List the trash: what `restore` can bring back.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs, newest first."""
    if deleted:
        from medpeft_core.commands.trash import list_deleted

        list_deleted(as_json=as_json)
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
    from medpeft_core.commands.train import resume as run_command

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


@app.command()
def view(
    image: ImagePath,
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    size: Annotated[int | None, typer.Option(min=16, help="Short side in pixels.")] = None,
    as_json: Json = False,
) -> None:
    """Write an image as the lab reads it, before any augmentation."""
    from medpeft_core.commands.images import view as run_command

    run_command(image, out, size=size, as_json=as_json)


@app.command()
def predict(
    run: RunName,
    image: Annotated[list[Path], typer.Argument(help="PNG or JPEG files.")],
    as_json: Json = False,
) -> None:
    """Show what a run predicts for images."""
    from medpeft_core.commands.images import predict as run_command

    run_command(run, image, as_json=as_json)


@app.command()
def explain(
    run: RunName,
    image: ImagePath,
    out: Annotated[Path, typer.Option(help="The PNG file to write, image and map together.")],
    cam_out: Annotated[Path | None, typer.Option(help="The .npy file to write, the map alone.")] = None,
    label: Annotated[str | None, typer.Option(help="The label to explain; the most probable one by default.")] = None,
    cam: Annotated[str, typer.Option(help="Kind of map.")] = "gradcam",
    as_json: Json = False,
) -> None:
    """Write an image with a class activation map of a run over it."""
    from medpeft_core.commands.images import explain as run_command

    run_command(run, image, out, cam_out=cam_out, label=label, cam=cam, as_json=as_json)


def describe_disk_error(error: OSError) -> str | None:
    """What a user can mend about a failed write: a full disk, or a home that cannot be used; else None."""
    home = get_home()
    if is_disk_full(error):
        return f"The disk is full: {error}. Free some space, or set {HOME_VARIABLE} to a folder on a larger disk."
    is_below_home = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(home)
    if is_below_home and isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
        return f"The lab's folder {home} cannot be used: {error}. Set {HOME_VARIABLE} to a folder that can be written."
    return None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Only what was given on the command line; the rest keeps its default."""
    return {name: value for name, value in values.items() if value is not None}
