"""What the lab must know about a format of export before it writes one, and the registry of them. Light."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medpeft_core.errors import ExportError
from medpeft_core.methods.spec import MethodSpec
from medpeft_core.registry import Registry

if TYPE_CHECKING:
    from medpeft_core.exports.context import ExportContext, Outcome


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
        write: `write(context, folder, options) -> Outcome`; fills an empty folder.
        find_misfit: why the runs of a method cannot be given away so, as the end of "It cannot be exported so: ".
    """

    name: str
    title: str
    description: str
    opens_with: str
    needs_model: bool
    write: "Callable[[ExportContext, Path, ExportOptions], Outcome]"
    find_misfit: Callable[[MethodSpec], str | None] = lambda method: None

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
