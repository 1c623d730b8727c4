"""What the lab must know about a format of export before it writes one, and the registry of them. Light."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medpeft_core.errors import ExportError
from medpeft_core.methods.spec import MethodSpec
from medpeft_core.registry import Registry
from medpeft_core.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a writer tells of what it wrote.

    Attributes:
        max_difference: largest difference of a logit between what was written, opened as its receiver would, and the
            run in the lab, over the probe images; None where no model was written.
        notes: sentences that the receiver should read.
    """

    max_difference: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run on its way out, as far as its files tell; all that a writer of a run of either kind gets.

    Attributes:
        run: the run.
        provenance, metrics: as the run's files hold them.
        tell: called with a few words on what is done now; raises to stop.
        progress: called with a few words, bytes done and bytes in all, where they are known; raises to stop.
    """

    run: Run
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    tell: Callable[[str], None] = field(default=lambda what: None, repr=False)
    progress: Callable[[str, int, int], None] = field(default=lambda what, done, total: None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What can be chosen about an export.

    Attributes:
        include_base: whether base weights that timm cannot download go along; without them the receiver needs the file.
        include_checkpoint: whether an archive holds the checkpoint that a resume needs.
        include_predictions: whether an archive holds the predictions of each image.
    """

    include_base: bool = True
    include_checkpoint: bool = False
    include_predictions: bool = True


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """One format.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        description: one or two sentences: what it is good for, and for whom.
        opens_with: what the receiver needs, such as "timm and peft".
        needs_model: whether the model is built and its outputs are compared.
        write: `write(context, folder, options) -> Outcome`; fills an empty folder. The context is an `ExportContext`,
            or a `RunContext` where `takes_any_run`.
        find_misfit: why the runs of a method cannot be given away so, as the end of "It cannot be exported so: ".
        takes_any_run: whether pre-trainings, and runs without weights, can leave so too.
    """

    name: str
    title: str
    description: str
    opens_with: str
    needs_model: bool
    write: Callable[[Any, Path, ExportOptions], Outcome]
    find_misfit: Callable[[MethodSpec], str | None] = lambda method: None
    takes_any_run: bool = False

    def check_fit(self, method: MethodSpec) -> None:
        """Refuse a method whose runs cannot be exported in this format.

        Raises:
            ExportError: says why, and what can be done instead.
        """
        misfit = self.find_misfit(method)
        if misfit is not None:
            fitting = [spec.name for spec in EXPORTS if spec.find_misfit(method) is None]
            raise ExportError(
                f"A run of the method {method.name!r} cannot be exported as {self.name!r}: {misfit}. "
                f"Choose: {', '.join(fitting)}."
            )


EXPORTS: Registry[ExportSpec] = Registry("export format")
