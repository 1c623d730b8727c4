"""AdaLoRA (Zhang et al. 2023): LoRA as a singular value decomposition that gives ranks to where they count."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_layers, layerwise_spec, targets_setting
from medpeft_core.traits import CONV, LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class AdaloraKnobs:
    """Settings of AdaLoRA."""

    rank: int = setting(8, "The mean rank that the adapted layers end with; some get more, some less.")
    init_rank: int = setting(0, "The rank that every layer starts with. 0: half as much again as the final one.")
    alpha: float = setting(32.0, "The addition is scaled by alpha / the rank of the start.")
    dropout: float = setting(0.1, "Dropout on the input of the addition.")
    warmup_share: float = setting(0.1, "Share of the steps, at the start, in which no rank is taken away.")
    final_share: float = setting(0.3, "Share of the steps, at the end, in which the ranks stay as they are.")
    every: int = setting(10, "Optimizer steps between two changes of the ranks.")
    orthogonality: float = setting(0.5, "Weight of the term in the loss that keeps the singular vectors orthogonal.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        is_fine = self.init_rank == 0 or self.init_rank > self.rank
        require(is_fine, "method.init_rank", self.init_rank, f"0, or above method.rank, which is {self.rank}")
        require(self.alpha > 0, "method.alpha", self.alpha, "above 0")
        require(0 <= self.warmup_share <= 0.5, "method.warmup_share", self.warmup_share, "from 0 to 0.5")
        require(0 < self.final_share <= 0.5, "method.final_share", self.final_share, "above 0 and at most 0.5")
        require(self.every >= 1, "method.every", self.every, "1 or more")
        require(self.orthogonality >= 0, "method.orthogonality", self.orthogonality, "0 or more")
        check_common(self)


def build_adalora(model: "nn.Module", parts: ModelParts, knobs: AdaloraKnobs) -> "AdaptedModel":
    """P E Q beside each target layer, with ranks masked as training goes (section 3).

    peft adds the orthogonality term only to models that compute their own loss, so here it is added by the loop; and
    the schedule runs over the real number of steps, which is told at the first one.

    Raises:
        MethodError: no such layers, or a rank above what a layer can use.
    """
    from peft import AdaLoraConfig

    from medpeft_core.methods.layers.adalora import AdaloraAdapted
    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, match_exactly

    names = find_layers("AdaLoRA", parts, knobs.targets)
    init_rank = knobs.init_rank or -(-3 * knobs.rank // 2)
    setting_name = "method.init_rank" if knobs.init_rank else "method.rank, with its start,"
    check_rank(model, names, init_rank, setting=setting_name)
    config = AdaLoraConfig(
        init_r=init_rank,
        target_r=knobs.rank,
        lora_alpha=knobs.alpha,
        lora_dropout=knobs.dropout,
        target_modules=match_exactly(names),
        deltaT=knobs.every,
        total_step=1,  # told by `begin`
        orth_reg_weight=knobs.orthogonality,
    )
    adapted = adapt_by_peft(model, config, parts, method="adalora", adapted_type=AdaloraAdapted)
    assert isinstance(adapted, AdaloraAdapted)
    adapted.set_shares(warmup=knobs.warmup_share, final=knobs.final_share)
    return adapted


METHODS.add(
    layerwise_spec(
        name="adalora",
        title="AdaLoRA",
        idea="LoRA that starts too wide and takes ranks away from the layers where they matter least.",
        knobs=AdaloraKnobs,
        build=build_adalora,
        reference="Zhang et al. 2023, arXiv:2303.10512",
        default_lr=1e-2,
        requires=((LINEAR, CONV),),
    )
)
