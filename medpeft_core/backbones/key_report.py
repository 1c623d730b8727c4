"""What became of each tensor of a weights file: nothing is loaded or left out without a word. Light."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from medpeft_core.errors import BackboneError

# fate -> what it means; the first four are fine
FATES = {
    "loaded": "taken as it is",
    "converted": "renamed, joined, resampled or summed for this model",
    "dropped": "left out on purpose: the model has no use for it",
    "fresh": "not in the file, and begins anew: the head, or a norm that pre-training did not have",
    "missing": "the model needs it, and the file lacks it",
    "unexpected": "the file has it, and the model has no place for it",
    "shape": "of another shape than the model needs",
    "unusable": "its numbers are no weights: whole numbers, or not finite",
}
FAULTS = ("missing", "unexpected", "shape", "unusable")


@dataclass(frozen=True, kw_only=True)
class KeyRow:
    """One tensor.

    Attributes:
        source: name in the file; "" when it is not there.
        target: name in the model; "" when it has no place there.
        found: its shape in the file.
        needed: the shape that the model needs.
        fate: one of `FATES`.
        note: why, in a few words.
    """

    source: str
    target: str
    found: tuple[int, ...] | None
    needed: tuple[int, ...] | None
    fate: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class KeyReport:
    """What became of a file.

    Attributes:
        backbone: timm name of the model.
        layout: name of the layout that the file was taken to have.
        container: key of the table of tensors in the file, such as "model"; "" where the file is that table.
        prefix: what was cut off the names, such as "module."; "" for nothing.
        left_out: other keys beside the container, such as "optimizer".
        rows: a row for each tensor, faults first.
    """

    backbone: str
    layout: str
    container: str
    prefix: str
    left_out: tuple[str, ...]
    rows: tuple[KeyRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many tensors met which fate, fates that none met left out."""
        found = Counter(row.fate for row in self.rows)
        return {fate: found[fate] for fate in FATES if found[fate]}

    @property
    def first_fault(self) -> KeyRow | None:
        """The first tensor that prevents loading; None when the file can be loaded."""
        return next((row for row in self.rows if row.fate in FAULTS), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with `counts`."""
        return {**asdict(self), "counts": self.counts}


class WeightsMismatchError(BackboneError):
    """A weights file is not one of this model; `report` says so tensor by tensor.

    It reaches pages from other processes as a plain message.
    """

    def __init__(self, message: str, report: KeyReport) -> None:
        super().__init__(message)
        self.report = report
