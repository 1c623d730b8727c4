"""What the lab makes of somebody's own images at a first look, for people to correct before anything is stored. Light.

The words of this module are shared by those who guess (`guessing.py`), the readers, the page and the command line.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medpeft_core.datasets.report_words import Finding

Form = Literal["folder", "table", "dicom"]
FORMS: tuple[Form, ...] = ("folder", "table", "dicom")
Role = Literal[
    "image", "patient", "split", "label", "age", "sex", "view", "laterality", "site", "date", "mask", "unused"
]
ROLES: tuple[Role, ...] = (
    "image", "patient", "split", "label", "age", "sex", "view", "laterality", "site", "date", "mask", "unused"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ColumnGuess:
    """One column of a table, and what it seems to be for.

    Attributes:
        name: as in the table's header.
        role: what it is used for.
        examples: up to three of its values.
        num_values: distinct values that are not empty.
        num_empty: rows without a value.
        why: a short phrase on how the role was found, or what speaks against others.
    """

    name: str
    role: Role
    examples: tuple[str, ...]
    num_values: int
    num_empty: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A data set as it would be read.

    Attributes:
        form: which of the readers `folder`, `table` and `dicom` reads it.
        root: folder of the images.
        options: of that reader, all that differ from its defaults; `--set data.KEY=VALUE` on a command line.
        task: "multilabel" or "multiclass".
        labels: in their order.
        counts: images with each label, in the order of `labels`; empty where nobody counted.
        is_ordered: the classes are grades.
        num_images: that would be in it.
        num_patients: None where no patients are known.
        columns: of the table, in its order; empty for other forms.
        tables: paths of tables below `root` that could be used, the likeliest first.
        findings: what is odd or wrong, in the words of a data report; one of severity "problem" must be mended first.
        examples: up to eight images (paths below `root`), each with the names of its labels as one phrase.
        offers: options that may fit, but that only a person can tell: {"patient_pattern": "{id}_*"}.
    """

    form: Form
    root: Path
    options: dict[str, Any]
    task: str
    labels: tuple[str, ...]
    counts: tuple[int, ...] = ()
    is_ordered: bool = False
    num_images: int = 0
    num_patients: int | None = None
    columns: tuple[ColumnGuess, ...] = ()
    tables: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    examples: tuple[tuple[str, str], ...] = field(default=())
    offers: dict[str, Any] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether nothing must be mended first."""
        return not any(item.severity == "problem" for item in self.findings)
