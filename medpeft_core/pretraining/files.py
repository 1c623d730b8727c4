"""Where a pre-training keeps its encoders and pictures, and how they are found again. Light."""

from pathlib import Path
from typing import Any, NamedTuple

from medpeft_core.runs.run import Run

ORIGINAL, MASKED = "original.png", "masked.png"


class EncoderFile(NamedTuple):
    """One kept encoder; `card` is the text beside it, `num_bytes` the size of the weights."""

    path: Path
    card: Path
    epoch: int
    train_loss: float
    sha256: str
    num_bytes: int


def name_encoder(epoch: int) -> str:
    """File name of the encoder after an epoch."""
    return f"epoch-{epoch:04d}.safetensors"


def name_rebuilt(epoch: int) -> str:
    """File name of the picture rebuilt after an epoch."""
    return f"rebuilt-{epoch:04d}.png"


def list_encoders(run: Run) -> list[EncoderFile]:
    """The encoders of the pre-training in its present form, by epoch; files that are gone are left out."""
    found = {event["epoch"]: event for event in run.history(types=("encoder",)) if event["type"] == "encoder"}
    files = [_describe(run, found[epoch]) for epoch in sorted(found)]
    return [item for item in files if item.path.is_file()]


def _describe(run: Run, event: dict[str, Any]) -> EncoderFile:
    path = run.folder / "encoders" / name_encoder(int(event["epoch"]))
    return EncoderFile(
        path=path,
        card=path.with_suffix(".md"),
        epoch=int(event["epoch"]),
        train_loss=float(event["train_loss"]),
        sha256=str(event["sha256"]),
        num_bytes=int(event["num_bytes"]),
    )
