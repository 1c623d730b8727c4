"""LoHa and LoKr (Hyeon-Woo et al. 2022; Yeh et al. 2023): products of small matrices that reach a higher rank."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_layers, layerwise_spec, targets_setting
from medpeft_core.traits import CONV, LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class LycorisKnobs:
    """Settings of LoHa and LoKr."""

    rank: int = setting(8, "Rank of the small matrices; the addition's own rank is higher.")
    alpha: float = setting(8.0, "The addition is scaled by alpha / rank.")
    rank_dropout: float = setting(0.0, "Share of the addition's outputs that is left out in a training step.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.alpha > 0, "method.alpha", self.alpha, "above 0")
        require(0 <= self.rank_dropout < 1, "method.rank_dropout", self.rank_dropout, "0 or more and below 1")
        check_common(self)

    def find_options(self) -> dict[str, Any]:
        """The same in peft's words."""
        return {"r": self.rank, "alpha": self.alpha, "rank_dropout": self.rank_dropout}


@dataclass(frozen=True, kw_only=True)
class LokrKnobs(LycorisKnobs):
    """Settings of LoKr."""

    factor: int = setting(
        -1, "Size of the first matrix of the Kronecker product; -1 makes both about equal, which is the smallest."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.factor == -1 or self.factor >= 2, "method.factor", self.factor, "-1, or 2 or more")


def build_loha(model: "nn.Module", parts: ModelParts, knobs: LycorisKnobs) -> "AdaptedModel":
    """W + s (B1 A1) * (B2 A2), multiplied number by number: rank up to r squared (FedPara, proposition 1).

    Raises:
        MethodError: no such layers, or a rank above what a layer can use.
    """
    from peft import LoHaConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, match_exactly

    names = find_layers("LoHa", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = LoHaConfig(**knobs.find_options(), target_modules=match_exactly(names))
    return adapt_by_peft(model, config, parts, method="loha")


def build_lokr(model: "nn.Module", parts: ModelParts, knobs: LokrKnobs) -> "AdaptedModel":
    """W + s C x (B A), a Kronecker product; raises as `build_loha`."""
    from peft import LoKrConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, match_exactly

    names = find_layers("LoKr", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = LoKrConfig(**knobs.find_options(), decompose_factor=knobs.factor, target_modules=match_exactly(names))
    return adapt_by_peft(model, config, parts, method="lokr")


_LOHA = METHODS.add(
    layerwise_spec(
        name="loha",
        title="LoHa",
        idea="Adds the product, number by number, of two low-rank matrices, which reaches the square of their rank.",
        knobs=LycorisKnobs,
        build=build_loha,
        reference="Hyeon-Woo et al. 2022, arXiv:2108.06098",
        default_lr=1e-2,
        requires=((LINEAR, CONV),),
    )
)
METHODS.add(
    replace(
        _LOHA,
        name="lokr",
        title="LoKr",
        idea="Adds a Kronecker product of small matrices: the fewest parameters for an addition of high rank.",
        knobs=LokrKnobs,
        build=build_lokr,
        reference="Yeh et al. 2023, arXiv:2309.14859",
    )
)
