"""RoAd (Liao & Monz 2024): pairs of a layer's outputs are turned and stretched."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import check_choices, setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class RoadKnobs:
    """Settings of RoAd."""

    variant: str = setting(
        "road_1",
        "How many angles and lengths a pair of outputs has: one of each, two or four.",
        choices=("road_1", "road_2", "road_4"),
    )
    group_size: int = setting(
        0, "Outputs within which pairs are made, even; must divide the outputs of each layer. 0: the largest, up to 64."
    )
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.group_size >= 0 and self.group_size % 2 == 0, "method.group_size", self.group_size, "0, or even")
        check_choices("method", self)
        check_common(self)


def build_road(model: "nn.Module", parts: ModelParts, knobs: RoadKnobs) -> "AdaptedModel":
    """R W x, where R turns pairs of outputs by an angle and scales them, and starts as the identity.

    Raises:
        MethodError: no Linear layers of that name, or a group size that divides not all of them.
    """
    from peft import RoadConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, choose_divisor, find_widths, match_exactly

    names = find_linears("RoAd", parts, knobs.targets)
    sides = {name: (outputs,) for name, (outputs, _) in find_widths(model, names).items()}
    config = RoadConfig(
        variant=knobs.variant,
        group_size=choose_divisor("method.group_size", knobs.group_size, sides, at_most=64),
        target_modules=match_exactly(names),
    )
    return adapt_by_peft(model, config, parts, method="road")


METHODS.add(
    layerwise_spec(
        name="road",
        title="RoAd",
        idea="Turns pairs of a layer's outputs by a trained angle and changes their length.",
        knobs=RoadKnobs,
        build=build_road,
        reference="Liao & Monz 2024, arXiv:2409.00119",
        default_lr=3e-2,
        requires=(LINEAR,),
    )
)
