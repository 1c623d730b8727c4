"""LN tuning through peft (Zhao et al. 2023): as `layernorm`, kept as an adapter beside the untouched norms."""

from typing import TYPE_CHECKING

from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs
from medpeft_core.traits import LAYER_NORM

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


def build_ln_tuning(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """A trained copy of every LayerNorm takes its place. The modules are named, since peft finds none by itself."""
    from peft import LNTuningConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, match_exactly

    config = LNTuningConfig(target_modules=match_exactly(parts.layer_norms))
    return adapt_by_peft(model, config, parts, method="ln_tuning")


METHODS.add(
    MethodSpec(
        name="ln_tuning",
        title="LN tuning",
        family="selective",
        idea="Trains a copy of each LayerNorm, so that the adapter can be taken off again.",
        knobs=NoKnobs,
        build=build_ln_tuning,
        reference="Zhao et al. 2023, arXiv:2312.11420",
        default_lr=1e-2,
        is_mergeable=True,
        requires=(LAYER_NORM,),
        places=("norms",),
        is_made_by_peft=True,
    )
)
