"""Commands on single images: view, predict, explain."""

from pathlib import Path
from typing import Annotated

import typer

from medpeft_core.cli.options import Json, RunName, app

ImagePath = Annotated[Path, typer.Argument(help="A DICOM, PNG or JPEG file.")]
Window = Annotated[
    str | None,
    typer.Option(help="Of a DICOM file: auto, percentiles, full, or the number of one of its windows."),
]
Frame = Annotated[str | None, typer.Option(help="Of a DICOM file: first, middle, last, or a number from 1.")]


@app.command()
def view(
    image: ImagePath,
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    size: Annotated[int | None, typer.Option(min=16, help="Short side in pixels.")] = None,
    window: Window = None,
    frame: Frame = None,
    as_json: Json = False,
) -> None:
    """Write an image as the lab reads it, before any augmentation."""
    from medpeft_core.commands.images import view as run_command

    run_command(image, out, size=size, window=window, frame=frame, as_json=as_json)


@app.command()
def predict(
    run: RunName,
    image: Annotated[list[Path], typer.Argument(help="DICOM, PNG or JPEG files.")],
    window: Window = None,
    frame: Frame = None,
    as_json: Json = False,
) -> None:
    """Show what a run predicts for images."""
    from medpeft_core.commands.images import predict as run_command

    run_command(run, image, window=window, frame=frame, as_json=as_json)


@app.command()
def explain(
    run: RunName,
    image: ImagePath,
    out: Annotated[Path, typer.Option(help="The PNG file to write, image and map together.")],
    cam_out: Annotated[Path | None, typer.Option(help="The .npy file to write, the map alone.")] = None,
    label: Annotated[str | None, typer.Option(help="The label to explain; the most probable one by default.")] = None,
    cam: Annotated[str, typer.Option(help="Kind of map.")] = "gradcam",
    window: Window = None,
    frame: Frame = None,
    as_json: Json = False,
) -> None:
    """Write an image with a class activation map of a run over it."""
    from medpeft_core.commands.images import explain as run_command

    run_command(run, image, out, cam_out=cam_out, label=label, cam=cam, window=window, frame=frame, as_json=as_json)
