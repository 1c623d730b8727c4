"""IA3 (Liu et al. 2022): learned factors on keys, values and the inside of the MLP."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts
from medpeft_core.methods.targets import AUTO, check_common, find_layers, split_words, wants_split_qkv
from medpeft_core.traits import CALLED_QKV, CONV

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class Ia3Knobs:
    """Settings of IA3."""

    targets: str = setting(
        AUTO,
        "Layers whose outputs are scaled. auto: keys and values, as in the paper, where there is attention, else every "
        "layer. The last layer of each MLP always has its inputs scaled.",
        suggestions=(AUTO, "k,v", "qkv", "all"),
    )

    def __post_init__(self) -> None:
        check_common(self)


def build_ia3(model: "nn.Module", parts: ModelParts, knobs: Ia3Knobs) -> "AdaptedModel":
    """l_k * k, l_v * v and W2 (l_ff * h), with vectors that start at one (section 3.3).

    Raises:
        MethodError: no such layers.
    """
    from peft import IA3Config

    from medpeft_core.methods.peft_adapted import adapt_by_peft, match_exactly

    targets = "k,v" if split_words(knobs.targets) == (AUTO,) and parts.keys else knobs.targets
    inside = _find_last_layers(parts)
    names = tuple(dict.fromkeys((*find_layers("IA3", parts, targets), *inside)))
    config = IA3Config(target_modules=match_exactly(names), feedforward_modules=list(inside))
    return adapt_by_peft(model, config, parts, method="ia3")


def _find_last_layers(parts: ModelParts) -> tuple[str, ...]:
    """The last Linear layer of each MLP of a transformer block."""
    found = []
    for mlp in parts.mlps:
        inside = [name for name in parts.linears if name.startswith(f"{mlp}.")]
        found += inside[-1:]
    return tuple(found)


METHODS.add(
    MethodSpec(
        name="ia3",
        title="IA3",
        family="reparameterised",
        idea="Makes features larger or smaller: one factor for each key, value and MLP feature.",
        knobs=Ia3Knobs,
        build=build_ia3,
        reference="Liu et al. 2022, arXiv:2205.05638",
        default_lr=3e-2,
        is_mergeable=True,
        requires=((CALLED_QKV, CONV),),
        places=("k", "v", "fc2"),
        needs=lambda knobs: wants_split_qkv(knobs.targets),
        is_made_by_peft=True,
    )
)
