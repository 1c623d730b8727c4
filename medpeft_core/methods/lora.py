"""LoRA (Hu et al. 2022): a frozen layer W x gets a trained low-rank addition, (alpha / rank) B A x."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import check_choices, setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, SPLIT_QKV, MethodSpec, ModelParts

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


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
    targets: str = setting(
        "auto", "Layers that get an addition: q,v as in the papers, qkv, all linear layers and convolutions, or auto.",
        choices=("auto", "q,v", "qkv", "all"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        require(self.rank >= 1, "method.rank", self.rank, "1 or more")
        require(self.alpha > 0, "method.alpha", self.alpha, "above 0")
        require(0 <= self.dropout < 1, "method.dropout", self.dropout, "0 or more and below 1")
        check_choices("method", self)


def find_lora_targets(parts: ModelParts, targets: str) -> tuple[str, ...]:
    """Names of the layers that LoRA is put on.

    Args:
        parts: the model's parts; for "q,v" its fused projections have been split.
        targets: "q,v", "qkv", "all", or "auto": q and v where the backbone has attention, else all.

    Raises:
        MethodError: the backbone has no such layers.
    """
    if targets == "auto":
        targets = "q,v" if parts.queries else "all"
    if targets == "q,v":
        found = tuple(name for pair in zip(parts.queries, parts.values, strict=True) for name in pair)
    elif targets == "qkv":
        found = parts.fused_qkv
    else:
        found = (*parts.linears, *parts.convs)
    if not found:
        raise MethodError(
            f"LoRA found nothing to adapt in {parts.backbone!r}: target_modules {targets!r} need attention layers, and "
            "this backbone has none. Use --targets all."
        )
    return found


def build_lora(model: "nn.Module", parts: ModelParts, knobs: LoraKnobs) -> "AdaptedModel":
    """Put LoRA on the target layers through peft; the head and fresh modules are trained beside it.

    With targets "q,v" this is the LoRA of Lian et al. 2024: A uniform in +-1/sqrt(D) (Kaiming, a = sqrt 5), B zero,
    separate A and B for q and v, scale alpha / rank. The one difference: q and v draw separate dropout masks.

    Raises:
        MethodError: no such layers, or a rank above what a target layer can use.
    """
    from medpeft_core.methods.peft_adapted import build_peft_lora, check_rank

    names = find_lora_targets(parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    return build_peft_lora(
        model,
        names,
        rank=knobs.rank,
        alpha=knobs.alpha,
        dropout=knobs.dropout,
        trained_modules=(parts.head, *parts.fresh),
    )


METHODS.add(
    MethodSpec(
        name="lora",
        title="LoRA",
        family="reparameterised",
        idea="Adds a trained low-rank matrix to chosen layers and leaves everything else frozen.",
        fits=("vit", "windowed_vit", "cnn", "other"),
        knobs=LoraKnobs,
        build=build_lora,
        reference="Hu et al. 2022, arXiv:2106.09685; on q and v as in Lian et al. 2024, arXiv:2401.12215",
        default_lr=3e-3,
        is_mergeable=True,
        needs=lambda knobs: frozenset({SPLIT_QKV}) if knobs.targets in ("auto", "q,v") else frozenset(),
    )
)
