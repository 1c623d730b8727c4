"""LoRA (Hu et al. 2022): a frozen layer W x gets a trained low-rank addition, (alpha / rank) B A x."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_layers, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import CONV, LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel
    from medpeft_core.methods.peft_adapted import PeftAdaptedModel


@dataclass(frozen=True, kw_only=True)
class LoraKnobs:
    """Settings of LoRA."""

    rank: int = setting(
        8,
        "In how many directions each adapted layer may change. A higher rank can learn more, trains more parameters, "
        "and overfits sooner when labels are few.",
    )
    alpha: float = setting(32.0, "The addition is scaled by alpha / rank; Lian et al. 2024 keep 32 for every rank.")
    dropout: float = setting(0.1, "Dropout on the input of the addition.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.alpha > 0, "method.alpha", self.alpha, "above 0")
        check_common(self)


def build_lora(model: "nn.Module", parts: ModelParts, knobs: LoraKnobs) -> "AdaptedModel":
    """Put LoRA on the target layers through peft; the head and fresh modules are trained beside it.

    With targets "q,v" this is the LoRA of Lian et al. 2024: A uniform in +-1/sqrt(D) (Kaiming, a = sqrt 5), B zero,
    separate A and B for q and v, scale alpha / rank. The one difference: q and v draw separate dropout masks.

    Raises:
        MethodError: no such layers, or a rank above what a target layer can use.
    """
    return build_lora_like(model, parts, knobs, method="lora", title="LoRA")


def build_lora_like(
    model: "nn.Module",
    parts: ModelParts,
    knobs: LoraKnobs,
    *,
    method: str,
    title: str,
    options: dict[str, Any] | None = None,
    adapted_type: "type[PeftAdaptedModel] | None" = None,
    can_adapt_convs: bool = True,
) -> "PeftAdaptedModel":
    """LoRA, or a variant of it that peft switches on by an option of its LoraConfig.

    Raises:
        MethodError: as `build_lora`.
    """
    from peft import LoraConfig

    from medpeft_core.methods.peft_adapted import PeftAdaptedModel, adapt_by_peft, check_rank, match_exactly

    names = (find_layers if can_adapt_convs else find_linears)(title, parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,
        lora_dropout=knobs.dropout,
        target_modules=match_exactly(names),
        bias="none",
        **(options or {}),
    )
    return adapt_by_peft(model, config, parts, method=method, adapted_type=adapted_type or PeftAdaptedModel)


METHODS.add(
    layerwise_spec(
        name="lora",
        title="LoRA",
        idea="Adds a trained low-rank matrix to chosen layers and leaves everything else frozen.",
        knobs=LoraKnobs,
        build=build_lora,
        reference="Hu et al. 2022, arXiv:2106.09685; on q and v as in Lian et al. 2024, arXiv:2401.12215",
        default_lr=3e-3,
        requires=((LINEAR, CONV),),
    )
)
