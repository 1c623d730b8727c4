"""How a session of a run opens, whichever kind it is: its data as they were set up, and where it stood. Heavy."""

import time

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.training.checkpoint import Position, load_checkpoint
from medpeft_core.training.control import Control
from medpeft_core.training.evaluate import Stopped
from medpeft_core.training.parts import StepParts

HISTORY = ("step", "eval", "epoch", "rebuilt")  # events that a resumed run may have to call void


def prepare_data(run: Run, data: DataConfig, control: Control) -> PreparedData:
    """The data of a run, told with the time that is left.

    Raises:
        Stopped: somebody asked for it.
        MedPeftError: they cannot be read, or are no longer those that the run was set up on.
    """
    began: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        if control.should_stop():
            raise Stopped
        tell_count(
            control, f"{what}, {done} of {total}", done / max(total, 1), began.setdefault(what, time.monotonic())
        )

    control.set_progress(phase="reading the data set")
    prepared = prepare_dataset(data, progress=tell)
    found = {"data_fingerprint": prepared.fingerprint, "pixels_sha256": prepared.pixels_sha256}
    provenance = run.provenance()
    if any(provenance.get(name, value) != value for name, value in found.items()):
        raise RunError(
            f"The data set {data.dataset!r} has changed since the run {run.run_id} was set up: its images, patients, "
            "splits or labels differ. Put the original data back, or start a new run."
        )
    return prepared


def restore_position(parts: StepParts, run: Run, control: Control) -> Position:
    """Continue from the checkpoint, if there is one, and tell readers of the events which earlier ones are void."""
    has_history = any(event["type"] in HISTORY for event in run.events())
    position = load_checkpoint(
        parts.checkpoint_dir, adapted=parts.adapted, optimizer=parts.optimizer, scaler=parts.scaler, device=parts.device
    )
    if position is not None or has_history:
        control.emit({"type": "status", "status": "resumed", "step": 0 if position is None else position.step})
    return position or Position()


def tell_count(control: Control, phase: str, share: float, began: float) -> None:
    """Show a phase with the time that is left of it, judged by the share that is done."""
    elapsed = time.monotonic() - began
    control.set_progress(phase=phase, eta_s=elapsed / share * (1 - share) if share else None)
