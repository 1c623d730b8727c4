"""What methods share that put modules of their own into a model, beside its frozen layers. Heavy."""

from torch import nn

from medpeft_core.errors import MethodError
from medpeft_core.methods.adapted import PlainAdaptedModel
from medpeft_core.methods.insertion import Insertion
from medpeft_core.methods.spec import ModelParts


class UnmergeableModel(PlainAdaptedModel):
    """A model whose added modules do what no weight of the base could do; it puts them in.

    Attributes:
        why_unmergeable: the reason, as a plain half-sentence.
    """

    def __init__(self, network: nn.Module, insertion: Insertion, *, method: str, why_unmergeable: str) -> None:
        super().__init__(network, method=method)
        self.insertion = insertion.apply(network)
        self.why_unmergeable = why_unmergeable

    def merge(self) -> nn.Module:
        raise MethodError(
            f"The method {self.method!r} cannot be merged into its backbone: {self.why_unmergeable}. Keep the adapter "
            "beside the backbone, or choose a method that can be merged."
        )


def freeze_base(model: nn.Module, parts: ModelParts) -> None:
    """Freeze everything but the head and the fresh modules; modules that are added afterwards learn."""
    model.requires_grad_(False)
    for name in (parts.head, *parts.fresh):
        model.get_submodule(name).requires_grad_(True)
