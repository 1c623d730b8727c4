"""What the commands of the command line share: the application, the types of their options, and what was given."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """Commands whose end by Ctrl-C is told from an exit code that a command gives itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Abort from error  # typer alone would make it a silent exit


app = typer.Typer(
    cls=Commands,
    help="MedPEFT Lab: parameter-efficient fine-tuning of vision backbones on medical images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Root = Annotated[str | None, typer.Option(help="Folder of the data set.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any setting: section.key=value; may be repeated.")]
RunName = Annotated[str, typer.Argument(help="Name of the run, or a part of it that no other run has.")]


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Only what was given on the command line; the rest keeps its default."""
    return {name: value for name, value in values.items() if value is not None}
