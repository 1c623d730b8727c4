"""MiSS (Kang & Yin 2025): one small matrix, repeated along the inputs of a layer, in place of LoRA's two."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class MissKnobs:
    """Settings of MiSS."""

    rank: int = setting(16, "Groups into which the inputs are summed; a layer of rank r has r trained rows.")
    dropout: float = setting(0.0, "Dropout on the input of the addition.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        check_common(self)


def build_miss(model: "nn.Module", parts: ModelParts, knobs: MissKnobs) -> "AdaptedModel":
    """W x + D S(x), where S sums every r-th number of the input and D starts at zero.

    Raises:
        MethodError: no Linear layers of that name, or a rank above what a layer can use.
    """
    from peft import MissConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, match_exactly

    names = find_linears("MiSS", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = MissConfig(r=knobs.rank, miss_dropout=knobs.dropout, target_modules=match_exactly(names))
    return adapt_by_peft(model, config, parts, method="miss")


METHODS.add(
    layerwise_spec(
        name="miss",
        title="MiSS",
        idea="Sums a layer's inputs in groups and trains one small matrix on the sums.",
        knobs=MissKnobs,
        build=build_miss,
        reference="Kang & Yin 2025, arXiv:2409.15371",
        default_lr=3e-3,
        requires=(LINEAR,),
    )
)
