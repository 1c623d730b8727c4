"""The command line: names, options and exit codes; the work is done in commands/ and the core."""

import sys
from pathlib import Path

import typer

from medpeft_core.cli import lab, own_data, training, runs, images, exports, lessons, weights  # isort: skip  # as --help lists
from medpeft_core.cli.options import app
from medpeft_core.cli.training import pretrain, train
from medpeft_core.errors import MedPeftError
from medpeft_core.paths import HOME_VARIABLE, get_home
from medpeft_core.runs.disk import is_disk_full

__all__ = [
    "app", "describe_disk_error", "exports", "images", "lab", "lessons", "main", "own_data",
    "pretrain", "runs", "train", "training", "weights",
]  # fmt: skip

EXIT_BAD_INPUT = 2
EXIT_STOPPED = 130
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # click's base of such errors, not exported by typer


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


def describe_disk_error(error: OSError) -> str | None:
    """What a user can mend about a failed write: a full disk, or a home that cannot be used; else None."""
    home = get_home()
    if is_disk_full(error):
        return f"The disk is full: {error}. Free some space, or set {HOME_VARIABLE} to a folder on a larger disk."
    is_below_home = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(home)
    if is_below_home and isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
        return f"The lab's folder {home} cannot be used: {error}. Set {HOME_VARIABLE} to a folder that can be written."
    return None
