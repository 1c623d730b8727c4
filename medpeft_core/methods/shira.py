"""SHiRA (Bhardwaj et al. 2024): a few of a layer's own weights are trained, as many as LoRA would add."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class ShiraKnobs:
    """Settings of SHiRA."""

    rank: int = setting(8, "As many weights of a layer are trained as LoRA of this rank would have.")
    mask_seed: int = setting(0, "Which weights are trained.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.mask_seed >= 0, "method.mask_seed", self.mask_seed, "0 or more")
        check_common(self)


def build_shira(model: "nn.Module", parts: ModelParts, knobs: ShiraKnobs) -> "AdaptedModel":
    """W + a sparse matrix of rank * (inputs + outputs) trained numbers at random places, which start at zero.

    Raises:
        MethodError: no Linear layers of that name, or a rank that would train more weights than a layer has.
    """
    from peft import ShiraConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, find_widths, match_exactly

    names = find_linears("SHiRA", parts, knobs.targets)
    highest = {
        name: outputs * inputs // (outputs + inputs) for name, (outputs, inputs) in find_widths(model, names).items()
    }
    smallest = min(highest, key=lambda name: highest[name])
    if knobs.rank > highest[smallest]:
        raise MethodError(
            f"method.rank is {knobs.rank}, which would train more weights than the layer {smallest!r} has. "
            f"Use a rank of at most {highest[smallest]}."
        )
    config = ShiraConfig(r=knobs.rank, random_seed=knobs.mask_seed, target_modules=match_exactly(names))
    return adapt_by_peft(model, config, parts, method="shira")


METHODS.add(
    layerwise_spec(
        name="shira",
        title="SHiRA",
        idea="Trains a sparse random choice of each layer's own weights, so that the change can have any rank.",
        knobs=ShiraKnobs,
        build=build_shira,
        reference="Bhardwaj et al. 2024, arXiv:2406.13175",
        default_lr=3e-3,
        requires=(LINEAR,),
    )
)
